"""The facts about a run before its first step: data, network, device, batch, schedule, and folder of results."""

from __future__ import annotations

import platform

import torch

from yolact.runtime.bench.machine import describe_cpu, read_versions
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.wording import count_noun, list_some, printable
from yolact.training.data.class_pairing import pair_classes
from yolact.training.data.datasets import Dataset
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.scores import ap_words, scored_detections
from yolact.training.models.model import Yolact
from yolact.training.processes import Processes
from yolact.training.settings import TrainSettings
from yolact.training.train_request import TrainRequest

MOST_CLASSES = 8
"""Classes whose instances are counted one by one, those with most first."""

WEIGHTS = "weights"
"""Title of the weights that the run began with."""

Facts = dict[str, str]


def tell_opening(
    request: TrainRequest, dataset: Dataset, truth: GroundTruth | None, model: Yolact, processes: Processes
) -> Facts:
    """A sentence for each title."""
    settings = request.settings
    facts = {"data": f"{request.data_as_read}: {_amount(dataset)}"}
    facts["classes"] = _classes(dataset)
    if truth is not None and request.validation is not None:
        objects = truth.count_objects().total()
        facts["validation"] = (
            f"{request.validation}: {count_noun(len(truth.images), 'image')} with {count_noun(objects, 'instance')}, "
            f"every {count_noun(request.save_every, 'iteration')}"
        )
        named = ap_words(scored_detections(request.postprocess.max_detections))
        notes = [*([] if named == "AP" else [named]), *pair_classes(model.config, truth).notes()]
        facts["validation"] += "".join(f"; {note}" for note in notes)
        if request.patience is not None:
            facts["validation"] += f"; ends after {request.patience} without a better mask AP"
    facts["network"] = _network(model)
    facts[WEIGHTS] = "none, it starts from random weights" if request.weights is None else str(request.weights)
    facts["device"] = _device(processes)
    facts["batch"] = _batch(settings, processes.world)
    facts["schedule"] = _schedule(settings, len(dataset))
    return {title: printable(told) for title, told in facts.items()}


def tell_origin(request: TrainRequest) -> Facts:
    """Digests of the files that a run begins with, and the versions it runs on. Raises OSError where a file is gone."""
    files = [path for path in request.input_files() if path.suffix != ".json" or path.is_file()]
    digests = {f"sha256 of {printable(str(path))}": sha256_of(path) for path in files}
    versions = {**read_versions(), "torch": torch.__version__}
    return {**digests, "versions": ", ".join(f"{name} {version}" for name, version in versions.items())}


def table_lines(facts: Facts) -> list[str]:
    """The facts as lines, their titles in a column."""
    width = max(map(len, facts)) + 2
    return [f"{title:{width}}{told}" for title, told in facts.items()]


def _amount(dataset: Dataset) -> str:
    images = f"{count_noun(len(dataset), 'image')}"
    counted = dataset.count_objects()
    if counted is None:
        return f"{images}, drawn when they are needed"
    return f"{images} with {count_noun(sum(counted.values()), 'instance')}"


def _classes(dataset: Dataset) -> str:
    counted = dataset.count_objects()
    shown = (
        list(dataset.class_names)
        if counted is None
        else [f"{dataset.class_names[class_id]} {count:,}" for class_id, count in counted.most_common()]
    )
    return f"{len(dataset.class_names)}: {list_some(shown, MOST_CLASSES)}"


def _network(model: Yolact) -> str:
    config = model.config
    whole = sum(parameter.numel() for parameter in model.parameters())
    learnt = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    fixed = "" if whole == learnt else f", of which {whole - learnt:,} stay as they are"
    return f"{config.name}, input {config.image_size} x {config.image_size}, {whole:,} parameters{fixed}"


def _device(processes: Processes) -> str:
    device = processes.device
    if device.type == "cuda":
        name = f"{device} ({torch.cuda.get_device_name(device)})"
    else:
        model = describe_cpu()["model"] or platform.machine()
        name = f"cpu ({model}, {count_noun(torch.get_num_threads(), 'thread')})"
    return name if processes.world == 1 else f"{processes.world} processes, each on a device like {name}"


def _batch(settings: TrainSettings, world: int) -> str:
    parts = [count_noun(settings.batch_size, "image")]
    if world > 1:
        parts.append(f"{settings.batch_size // world} in each process")
    if settings.accumulate > 1:
        parts.append(f"computed in {settings.accumulate} parts of {settings.batch_size_per_device(world)}")
    return ", ".join(parts) + ("" if settings.amp == "off" else f"; convolutions in {settings.amp}")


def _schedule(settings: TrainSettings, images: int) -> str:
    epochs = settings.iterations * settings.batch_size / images
    steps = [step for step in settings.learning_rate_steps if step < settings.iterations]
    falls = f", falling to a tenth at {', '.join(map(str, steps))}" if steps else ""
    warm_up = f", rising over the first {settings.warmup}" if settings.warmup else ""
    return (
        f"{count_noun(settings.iterations, 'iteration')} ({epochs:.3g} epochs); learning rate "
        f"{settings.learning_rate:g}{warm_up}{falls}; seed {settings.seed}, augmentation {settings.augmentation}"
    )
