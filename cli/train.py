"""The command `yolact-train`: a network from images and their annotations."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from typing import Any

import click

from yolact.cli.command import note, require_packages, say
from yolact.cli.options.common import folder_option, max_pixels_option
from yolact.cli.options.named import WEIGHTS
from yolact.cli.options.postprocess import DetectionLimits
from yolact.cli.options.reading import reading_options
from yolact.cli.options.resumed import ResumableCommand, own_arguments
from yolact.cli.options.values import AT_LEAST_1
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.errors import UsageError


def _parse_steps(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"expected iterations separated by commas, such as 6000,8000, got {value!r}")
    return tuple(map(int, parts))


def _postprocess(max_detections: int | None, validation: str | None) -> PostprocessConfig:
    """The post-processing of validations."""
    if max_detections is not None and validation is None:
        raise UsageError("--max-detections is for --val")
    return DetectionLimits(max_detections, None).of(PostprocessConfig())


def _program() -> tuple[str, ...]:
    """The words that start this command, alone or through `torchrun`."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return ("yolact-train",)
    here = os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"])
    return ("torchrun", "--nproc-per-node", here, "-m", "yolact.cli.train")


@click.command("yolact-train", cls=ResumableCommand)
@click.option(
    "--config", "config_name", required=True, help="Configuration; the classes of --data replace its classes."
)
@click.option("--data", metavar="SPEC", required=True, help="ANNOTATIONS.json,IMAGE_FOLDER or scenes:COUNT[:SEED].")
@click.option("--val", "validation", metavar="SPEC", help="Data to measure AP on, in the form of --data.")
@reading_options("--data", measured="--val")
@click.option(
    "--max-detections", type=int, help="Detections per image that count in a validation.  [default: 100, as in COCO]"
)
@click.option(
    "--weights",
    metavar="FILE|NAME",
    type=WEIGHTS,
    help="ImageNet backbone or checkpoint to start from, or a name as yolact models lists them.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --output with its own options; --iterations may extend it.",
)
@folder_option("runs", "Folder to write; created if needed.")
@click.option("--batch-size", type=AT_LEAST_1, default=8, help="Images per gradient step, over all GPUs.")
@click.option("--accumulate", type=AT_LEAST_1, default=1, help="Parts in which a batch is computed, to save memory.")
@click.option("--iterations", type=AT_LEAST_1, help="Gradient steps.  [default: the official schedule]")
@click.option("--lr", type=float, help="Learning rate.  [default: 0.001 x batch size / 8]")
@click.option(
    "--lr-steps",
    callback=_parse_steps,
    help="Iterations at which the learning rate drops to a tenth.  [default: the official ones]",
)
@click.option("--warmup", type=click.IntRange(min=0), default=500, help="Iterations until the full learning rate.")
@click.option(
    "--freeze",
    "frozen_stages",
    type=click.IntRange(min=0),
    default=0,
    help="Number of backbone stages that keep their weights; the first convolution counts as one.",
)
@click.option("--amp", type=click.Choice(["bf16", "fp16", "off"]), default="off", help="Mixed precision.")
@click.option(
    "--augment",
    type=click.Choice(["full", "overhead", "mirror", "none"]),
    default="full",
    help="full: the official augmentation; overhead: for pictures without an upright direction.",
)
@click.option("--imgsz", type=AT_LEAST_1, help="Side of the network input in pixels.  [default: the configuration's]")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--workers", type=click.IntRange(min=0), default=2, help="Processes that prepare images, per GPU.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed of weights, order and augmentation.")
@click.option("--save-every", type=AT_LEAST_1, default=10_000, help="Iterations between checkpoints and validations.")
@click.option("--patience", type=AT_LEAST_1, help="End after this many validations without a better mask AP.")
@click.option("--wandb", is_flag=True, help="Also log to Weights & Biases.")
@max_pixels_option()
def main(
    config_name: str,
    batch_size: int,
    iterations: int | None,
    lr: float | None,
    lr_steps: tuple[int, ...] | None,
    augment: Any,
    imgsz: int | None,
    max_detections: int | None,
    **options: Any,
) -> None:
    """Train YOLACT or YOLACT++.

    Writes into --output checkpoints <configuration>_<epoch>_<iteration>.pth and, with --val, the best one as best.pth,
    which yolact-export and the official code read; metrics.csv, curves.png, sample pictures, TensorBoard's files, and a
    README.md that says where the run stands. Ctrl-C ends the run after the current step and saves it; --resume goes on
    as if it had never stopped. On several GPUs: torchrun --nproc-per-node 4 -m yolact.cli.train --config ...

    Exit codes: 0 done, 1 an input, the disk or the loss failed, 2 wrong usage, 130 or 143 stopped early and saved.
    """
    require_packages("training", "train", "matplotlib", "pycocotools", "tensorboard", "torch")
    from yolact.training.models.configs import get_config
    from yolact.training.settings import TrainSettings, scaled_learning_rate, schedule
    from yolact.training.train_request import TrainRequest
    from yolact.training.train_run import run_training

    config = get_config(config_name)
    if imgsz is not None:
        config = replace(config, image_size=imgsz)
    total, steps = schedule(config, batch_size, iterations)
    settings = TrainSettings(
        total,
        steps if lr_steps is None else lr_steps,
        batch_size,
        scaled_learning_rate(batch_size) if lr is None else lr,
        augmentation=augment,
        **{name: options.pop(name) for name in ("warmup", "accumulate", "amp", "seed", "frozen_stages")},
    )
    options["postprocess"] = _postprocess(max_detections, options["validation"])
    request = TrainRequest(config, settings, program=_program(), arguments=own_arguments(), **options)
    stopped_by = run_training(request, say, note)
    if stopped_by:
        resume = shlex.join([*request.program, "--resume", "--output", str(request.output)])
        note(f"stopped and saved; continue with: {resume}")
        sys.exit(128 + stopped_by)


if __name__ == "__main__":
    main()
