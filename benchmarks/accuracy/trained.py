"""The two trained models that ship with the project, on pictures that they were not trained on, in every precision.

The demonstration model finds parts in bins that are drawn for it; that of nuclei, nuclei in photographs of microscopes.
fp16 and INT8 for TensorRT are emulated, so their times would mean nothing and are not taken.

    python -m benchmarks.accuracy trained [--bins 500] [--nuclei FOLDER] [--json benchmarks/results/trained.json]
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from tqdm import tqdm

from benchmarks.accuracy.int8 import export
from benchmarks.accuracy.tables import trained_groups, trained_precisions, trained_shown, trained_worst
from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.networks import quantised
from benchmarks.trained_models import TrainedModel, model_of_bins, model_of_nuclei
from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.quantization_points import DEFAULT_MODULES
from yolact.cli.command import reports_errors
from yolact.export.half_emulation import emulate_half
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.evaluate import Evaluation, evaluate
from yolact.training.evaluation.scores import RegionScores, score_results, scored_detections
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.model import Yolact
from yolact.training.models.torch_engine import TorchEngine

WORST = 10
"""Pictures that are named because the model does worst on them."""

THRESHOLDS = (0.15, 0.3, 0.5, 0.7)

EXCLUDED = ("backbone.layers.1.0.conv.0.0", "backbone.layers.2.0.conv.0.0")
"""Layers of MobileNetV2 that cost nearly all that INT8 loses, in both models, by `yolact-sensitivity --by layers`."""

FEW, SOME = 3, 6
"""Most parts that are asked for in a sparse bin, and in one that is neither sparse nor heaped."""


@dataclass(frozen=True)
class Task:
    """A model and the pictures that it is measured on, each in a group.

    Attributes:
        model: with its pictures.
        groups: of each picture, by its id.
    """

    model: TrainedModel
    groups: dict[int, str]


def bins_task(folder: Path, count: int) -> Task:
    """Bins are grouped by the number of parts that are asked for."""
    model = model_of_bins(folder, count)
    asked = asked_objects(model.truth)

    def group(parts: int) -> str:
        return (
            f"1 to {FEW} parts"
            if parts <= FEW
            else f"{FEW + 1} to {SOME} parts"
            if parts <= SOME
            else f"{SOME + 1} and more"
        )

    return Task(model, {image.id: group(asked[image.id]) for image in model.truth.images})


def nuclei_task(folder: Path) -> Task:
    """Photographs are grouped by how they were taken, as their light and colour tell."""
    model = model_of_nuclei(folder)
    return Task(model, {image.id: light_of(model.truth.read(index)) for index, image in enumerate(model.truth.images)})


def light_of(image: Image) -> str:
    """The kind of microscope's light: dark pictures are of fluorescence, light ones of stained tissue."""
    if image.mean() < 100:
        return "fluorescence, dark"
    grey = np.ptp(image.astype(np.int16), axis=2).mean() < 8
    return "light, grey" if grey else "stained, in colour"


def asked_objects(truth: GroundTruth) -> Counter[int]:
    """The number of objects that are to be found, by the picture's id."""
    return Counter(one["image_id"] for one in truth.content["annotations"] if not one.get("iscrowd"))


def variants(model: Yolact, calibration: ImageSet, limits: PostprocessConfig) -> dict[str, onnx.ModelProto]:
    """The exported files by what the table calls them."""
    exact = {name: export(model, name, postprocess=limits) for name in ("fp32", "fp16")}
    ranges = calibrate(exact["fp32"], calibration, CalibrationOptions())
    return {
        "ONNX": exact["fp32"],
        "ONNX, fp16": exact["fp16"],
        **{
            f"ONNX, INT8 for {where}{', two layers excluded' if left_out else ''}": quantised(
                exact[precision], ranges, DEFAULT_MODULES[platform], platform, left_out
            )
            for platform, where, precision in (("tensorrt", "TensorRT", "fp16"), ("cpu", "CPUs", "fp32"))
            for left_out in ((), EXCLUDED)
        },
    }


EMULATED = ("ONNX, fp16", "ONNX, INT8 for TensorRT")
"""What the names of files begin with that ONNX Runtime computes with roundings that are added to them."""


def measure(task: Task, folder: Path) -> dict[str, Any]:
    """All that the tables show of a model."""
    model = load_checkpoint(task.model.checkpoint).eval()
    with Detector(TorchEngine(load_checkpoint(task.model.checkpoint), task.model.limits)) as detector:
        found = {"checkpoint": evaluate(detector, task.model.truth)}
    for name, proto in tqdm(variants(model, task.model.calibration, task.model.limits).items(), disable=None):
        path = folder / "network.onnx"
        onnx.save(emulate_half(proto) if name.startswith(EMULATED) else proto, path)
        with Detector.open(path) as detector:
            found[name] = evaluate(detector, task.model.truth)
    return {
        "checkpoint": task.model.checkpoint.name,
        "images": len(task.model.truth.images),
        "objects": asked_objects(task.model.truth).total(),
        "max_detections": scored_detections(task.model.limits.max_detections),
        "calibrated_on": len(task.model.calibration),
        "precisions": {name: _row(one, timed=not name.startswith(EMULATED)) for name, one in found.items()},
        "shown": shown(task, found["ONNX"]),
        "groups": by_group(task, found["ONNX"]),
        "worst": worst(task, found["ONNX"]),
    }


def _row(found: Evaluation, *, timed: bool) -> dict[str, Any]:
    times = {"detector_ms": found.detector_ms, "mask_ms": found.mask_ms} if timed else {}
    return {"box": _ap(found.scores.box), "mask": _ap(found.scores.mask), **times}


def _ap(scores: RegionScores) -> dict[str, float | None]:
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    return {name: None if (value := getattr(scores, name)) is None else 100 * value for name in names}


def shown(task: Task, found: Evaluation) -> list[dict[str, float]]:
    """What a display threshold costs: shares of wrong detections among those above it, and of objects that are found.

    A detection is right where its mask and class are those of an object, at an IoU of 0.5.
    """
    details, objects = found.scores.mask.details, asked_objects(task.model.truth).total()
    rows = []
    for threshold in THRESHOLDS:
        right = details.right[details.scores > threshold]
        rows.append({"threshold": threshold, "wrong": 1 - right.mean(), "found": right.sum() / objects})
    return [{name: float(value) for name, value in row.items()} for row in rows]


def _score(task: Task, found: Evaluation, ids: list[int]) -> RegionScores:
    limit = scored_detections(task.model.limits.max_detections)
    return score_results(task.model.truth.content, found.box_results, found.mask_results, ids, limit).mask


def by_group(task: Task, found: Evaluation) -> dict[str, dict[str, Any]]:
    """Mask AP of each group of pictures."""
    asked, rows = asked_objects(task.model.truth), {}
    for group in sorted(set(task.groups.values())):
        ids = [id for id, name in task.groups.items() if name == group]
        rows[group] = {"images": len(ids), "objects": sum(asked[id] for id in ids)} | _ap(_score(task, found, ids))
    return rows


def worst(task: Task, found: Evaluation) -> list[dict[str, Any]]:
    """The pictures with the lowest mask AP."""
    areas: dict[int, list[float]] = {}
    for one in task.model.truth.content["annotations"]:
        if not one.get("iscrowd"):
            areas.setdefault(one["image_id"], []).append(one["area"])
    rows = [
        {
            "image": image.file_name,
            "group": task.groups[image.id],
            "size": list(image.size[::-1]),
            "objects": len(areas[image.id]),
            "median_diameter_px": float(np.sqrt(np.median(areas[image.id]) * 4 / np.pi)),
        }
        | _ap(_score(task, found, [image.id]))
        for image in task.model.truth.images
        if image.id in areas
    ]
    return sorted(rows, key=lambda row: row["ap"])[:WORST]


@click.command()
@click.option("--bins", default=500, show_default=True, type=click.IntRange(1), help="Unseen bins.")
@click.option(
    "--nuclei",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the photographs: train.json, val.json and images.  [default: only bins]",
)
@json_option
@reports_errors
def main(bins: int, nuclei: Path | None, json_path: Path | None) -> None:
    """Measure both models in every precision."""
    figures: dict[str, Any] = {"machine": describe_machine(os.cpu_count() or 1), "models": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures["models"]["bins"] = measure(bins_task(folder, bins), folder)
        if nuclei is not None:
            figures["models"]["nuclei"] = measure(nuclei_task(nuclei), folder)
    for name in figures["models"]:
        tables = (trained_precisions(name), trained_shown(name), trained_groups(name), trained_worst(name))
        print("\n\n".join(render(figures) for render in tables), end="\n\n")
    write_figures(json_path, figures)
