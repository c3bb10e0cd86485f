"""Training on this machine: the whole loop against forward and backward alone, and the memory of an image and of masks.

    python -m benchmarks.training speed [--config yolact_resnet50] [--data SPEC] [--batch-size 4] [--json FILE]

Both are measured in turn, step by step: one step of the loop, with images coming from worker processes, then network,
loss and gradients of a batch that is in memory.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import click
import torch

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.training import tables
from yolact.cli.command import reports_errors
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.data.datasets import open_dataset
from yolact.training.data.loading import Stream, Targets, load_batches
from yolact.training.loss import YolactLoss
from yolact.training.models.configs import get_config
from yolact.training.models.initial_weights import initial_model
from yolact.training.models.model import RawHeads
from yolact.training.processes import Processes
from yolact.training.settings import TrainSettings
from yolact.training.trainer import Trainer

WARM_UPS = 3

MASKS = 100
"""Most instances of an image whose masks the loss trains on."""


def make_trainer(config_name: str, data: str, batch_size: int, workers: int) -> Trainer:
    """A trainer as `yolact-train` makes it, with the official settings."""
    dataset = open_dataset(data)
    config = get_config(config_name).with_classes(dataset.class_names, dataset.category_ids)
    settings = TrainSettings(
        10**9, (), batch_size, learning_rate=0, warmup=0
    )  # the rate keeps the weights, as only speed is measured
    model, _ = initial_model(config, 0)
    return Trainer(model, Stream(dataset, config, 0, "full"), settings, Processes("cpu"), workers=workers)


def measure_speed(config_name: str, data: str, batch_size: int, steps: int, workers: int) -> dict[str, float]:
    """Milliseconds of a step and of its forward and backward pass alone, in the median, and of preparing an image."""
    trainer = make_trainer(config_name, data, batch_size, workers)
    loop = trainer.steps()
    batch = next(load_batches(trainer._stream, batch_size))
    whole, alone = [], []
    for _ in range(WARM_UPS + steps):
        start = time.perf_counter()
        next(loop)
        middle = time.perf_counter()
        matches = trainer._loss.match(batch.targets)
        terms = trainer._module(batch, matches, matches.positive_count, batch_size)
        torch.stack(list(terms.values())).sum().backward()
        whole.append(1000 * (middle - start))
        alone.append(1000 * (time.perf_counter() - middle))
        trainer.model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    for position in range(20):
        trainer._stream[position]
    preparing = (time.perf_counter() - start) / 20 * 1000
    loop.close()
    return {
        "step_ms": median(whole[WARM_UPS:]),
        "forward_backward_ms": median(alone[WARM_UPS:]),
        "loop_to_forward_backward": median(a / w for a, w in zip(alone[WARM_UPS:], whole[WARM_UPS:], strict=True)),
        "images_per_second": 1000 * batch_size / median(whole[WARM_UPS:]),
        "prepare_image_ms": preparing,
    }


def peak_memory(config_name: str, data: str, batch_size: int) -> float:
    """Peak memory in MB of a process that takes two steps."""
    program = (
        "from benchmarks.training.speed import make_trainer\n"
        "from yolact.runtime.bench.machine import peak_host_memory_mib\n"
        f"steps = make_trainer({config_name!r}, {data!r}, {batch_size}, 0).steps()\nnext(steps), next(steps)\n"
        "print(peak_host_memory_mib())"
    )
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def mask_loss_memory(config_name: str, instances: int) -> float:
    """The MB that one image's mask loss keeps for the backward pass."""
    config = get_config(config_name)
    torch.manual_seed(0)
    corners = torch.rand(instances, 2) * 0.5
    targets = Targets(
        torch.cat([corners, corners + 0.4], dim=1),
        torch.zeros(instances, dtype=torch.long),
        torch.ones(instances, config.image_size, config.image_size, dtype=torch.uint8),
        torch.zeros(0, 4),
    )
    heads = RawHeads(
        torch.zeros(1, config.num_priors, 4),
        torch.zeros(1, config.num_priors, config.num_classes + 1),
        torch.zeros(1, config.num_priors, config.num_coefficients, requires_grad=True),
        torch.rand(1, config.num_coefficients, config.prototype_size, config.prototype_size, requires_grad=True),
        torch.zeros(1, config.num_classes, *[config.level_sizes[0]] * 2),
    )
    loss, kept = YolactLoss(config), {}
    matches = loss.match([targets])
    positive = torch.zeros_like(matches.labels)
    positive[0, torch.randperm(len(make_priors(config)))[:instances]] = 1
    matches = matches._replace(labels=positive, objects=positive.cumsum(1).clamp(max=instances) - 1)

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss._mask_terms(heads, matches, [targets])
    return sum(kept.values()) / 1e6


@click.command()
@click.option("--config", "config_name", default="yolact_resnet50", show_default=True)
@click.option("--data", default="scenes:1000", show_default=True, help="See yolact-train.")
@click.option("--batch-size", type=click.IntRange(1), default=4, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=8, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True)
@json_option
@reports_errors
def main(config_name: str, data: str, batch_size: int, steps: int, workers: int, json_path: Path | None) -> None:
    """Measure the training loop beside forward and backward alone, and memory."""
    speed = measure_speed(config_name, data, batch_size, steps, workers)
    one, more = (peak_memory(config_name, data, count) for count in (1, 3))
    figures = {
        "machine": describe_machine(torch.get_num_threads()),
        "config": config_name,
        "data": "COCO-format photos" if "," in data else data,
        "batch_size": batch_size,
        "steps": steps,
        "workers": workers,
        **{name: round(value, 3) for name, value in speed.items()},
        "peak_memory_mb_of_batch_1": round(one),
        "memory_mb_per_further_image": round((more - one) / 2),
        "mask_loss_mb_kept_per_image": {str(n): round(mask_loss_memory(config_name, n), 1) for n in (1, 10, MASKS)},
    }
    print(f"{tables.speed(figures)}\n\n{tables.memory(figures)}")
    write_figures(json_path, figures)
