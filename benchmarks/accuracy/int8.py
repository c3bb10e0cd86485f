"""INT8: accuracy, sizes and CPU latency beside fp32 and fp16, for the two platforms and two choices of modules.

Accuracy is the demonstration model's on bins it has not seen; fp16 is emulated. Plans are built ahead of time by
TensorRT for RTX and not run. Latency is that of the raw heads of YOLACT-ResNet50 at 550 with made-up weights on ONNX
Runtime, each variant in turn, so that all meet the same load.

    python -m benchmarks.accuracy int8 [--bins 500] [--runs 15] [--json benchmarks/results/int8.json]
    python -m benchmarks.accuracy int8 --weights W.pth --annotations val.json --images val [--json ...]

The second form measures only the accuracy of that checkpoint on those photos, calibrated on all images of the folder.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click
import onnx
from tqdm import tqdm

from benchmarks.accuracy.tables import int8_accuracy, int8_latency, int8_plans
from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.images import calibration_bins, unseen_bins, write_photos
from benchmarks.machine import describe_machine
from benchmarks.networks import DEMO, MANY_CANDIDATES, quantised, seeded_model
from benchmarks.onnx_timing import time_in_turns
from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.qdq import Ranges
from yolact.calib.quantization_points import DEFAULT_MODULES, MODULES, Platform
from yolact.cli.command import reports_errors
from yolact.engines.build_options import BuildOptions
from yolact.engines.builder import build_plan
from yolact.engines.builder_choice import choose_builder
from yolact.export.half_emulation import emulate_half
from yolact.export.int8 import HALF_OPSET
from yolact.export.onnx_model import export_model
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import Precision
from yolact.runtime.onnx.exported_model import parse_exported_model
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.evaluation.onnx_accuracy import measure_accuracy
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import get_config
from yolact.training.models.model import Yolact

CHOICES = {"backbone and Protonet": DEFAULT_MODULES["tensorrt"], "everything": tuple(MODULES)}
PLATFORMS: dict[Platform, Precision] = {"tensorrt": "fp16", "cpu": "fp32"}
"""Platforms of INT8, each with the precision of the layers that are not in INT8."""

MADE_UP_PHOTOS = 4
"""Number of photos that made-up weights are calibrated on."""


def export(
    model: Yolact, precision: Precision, postprocess: PostprocessConfig | None = None, **options: Any
) -> onnx.ModelProto:
    """The exported network, with an opset that allows INT8 beside its precision."""
    opset = HALF_OPSET if precision == "fp16" else None
    limits = postprocess or PostprocessConfig()
    return export_model(model, limits, weights_sha256="", precision=precision, opset=opset, **options)


def int8_variants(exact: dict[Precision, onnx.ModelProto], ranges: Ranges) -> dict[str, onnx.ModelProto]:
    """The network in INT8 for each platform and choice of modules, by name."""
    return {
        f"int8 {choice} {platform}": quantised(exact[precision], ranges, modules, platform)
        for platform, precision in PLATFORMS.items()
        for choice, modules in CHOICES.items()
    }


def score(variants: dict[str, onnx.ModelProto], truth: GroundTruth) -> dict[str, dict[str, float]]:
    """Mask and box AP of each variant."""
    named = tqdm(variants.items(), disable=None)
    return {name: measure_accuracy(emulate_half(proto), truth)._asdict() for name, proto in named}


def measure_ap(bins: int, folder: Path) -> dict[str, dict[str, float]]:
    """Mask and box AP of the demonstration model by variant."""
    model = load_checkpoint(DEMO)
    images, truth = calibration_bins(folder / "calibration"), unseen_bins(folder / "unseen", bins)
    exact: dict[Precision, onnx.ModelProto] = {"fp32": export(model, "fp32"), "fp16": export(model, "fp16")}
    variants: dict[str, onnx.ModelProto] = {**exact}
    for algorithm in ("percentile", "minmax", "entropy"):
        ranges = calibrate(exact["fp32"], images, CalibrationOptions(algorithm))  # type: ignore[arg-type]
        variants |= {f"{name} {algorithm}": proto for name, proto in int8_variants(exact, ranges).items()}
    return score(variants, truth)


def measure_photos(weights: Path, annotations: Path, folder: Path) -> dict[str, Any]:
    """Mask and box AP of a checkpoint on annotated photos by variant."""
    model = load_checkpoint(weights)
    images, truth = ImageSet.of_folder(folder, 10**6), read_ground_truth(annotations, folder)
    exact: dict[Precision, onnx.ModelProto] = {"fp32": export(model, "fp32"), "fp16": export(model, "fp16")}
    ranges = calibrate(exact["fp32"], images, CalibrationOptions())
    ap = score({**exact, **int8_variants(exact, ranges)}, truth)
    return {"pictures": f"{len(truth.images)} images", "calibrated_on": len(images), "ap": ap}


def measure_plans(model: Yolact, ranges: Ranges, arch: str) -> dict[str, dict[str, int]]:
    """The bytes of ONNX file and plan of each variant."""
    options = BuildOptions((arch,))
    tensorrt = choose_builder(options)
    variants = {"fp32": export(model, "fp32"), "fp16": export(model, "fp16")}
    for choice, modules in CHOICES.items():
        variants[f"int8 {choice}"] = quantised(variants["fp16"], ranges, modules, "tensorrt")
    sizes = {}
    for name, proto in variants.items():
        data = proto.SerializeToString()
        plan = build_plan(parse_exported_model(data, name), options, tensorrt).data
        sizes[name] = {"onnx_bytes": len(data), "plan_bytes": len(plan)}
    return sizes


def measure_latency(model: Yolact, ranges: Ranges, runs: int, threads: int) -> dict[str, float]:
    """The median milliseconds of each variant up to its raw heads, on this CPU."""
    raw = export(model, "fp32", graph="raw")
    variants = {"fp32": raw}
    for choice, modules in CHOICES.items():
        for platform in PLATFORMS:
            variants[f"int8 {choice} {platform}"] = quantised(raw, ranges, modules, platform)
    inputs = {INPUT_NAME: Preprocessor(model.config.image_size)([make_check_image()])}
    return time_in_turns({name: (proto, inputs) for name, proto in variants.items()}, runs, threads)


def measure_everything(bins: int, runs: int, threads: int, arch: str) -> dict[str, Any]:
    """Latency and sizes of an official network with made-up weights, accuracy of the demonstration model."""
    model = seeded_model(get_config("yolact_resnet50"), MANY_CANDIDATES)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = ImageSet.of_folder(write_photos(Path(folder) / "photos", MADE_UP_PHOTOS), MADE_UP_PHOTOS)
        ranges = calibrate(export(model, "fp32", graph="raw"), images, CalibrationOptions())
        figures["latency_ms"] = measure_latency(model, ranges, runs, threads)
        figures["plans"] = measure_plans(model, ranges, arch)
        figures["ap"] = measure_ap(bins, Path(folder))
    return figures


@click.command()
@click.option("--bins", type=click.IntRange(1), default=500, show_default=True, help="Unseen bins to score on.")
@click.option("--runs", type=click.IntRange(1), default=15, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count, help="[default: all cores]")
@click.option("--gpu-arch", default="sm_86", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Measure only this checkpoint's accuracy, on photos.")
@click.option("--annotations", type=click.Path(path_type=Path), help="Annotations of the photos.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of the photos.")
@json_option
@reports_errors
def main(
    bins: int,
    runs: int,
    threads: int,
    gpu_arch: str,
    weights: Path | None,
    annotations: Path | None,
    images: Path | None,
    json_path: Path | None,
) -> None:
    """Measure the gains and losses of INT8."""
    if weights is not None and annotations is not None and images is not None:
        result = measure_photos(weights, annotations, images)
    elif weights is None and annotations is None and images is None:
        result = {"machine": describe_machine(threads), "pictures": f"{bins} bins", "gpu_arch": gpu_arch}
        result |= measure_everything(bins, runs, threads, gpu_arch)
        print(f"{int8_latency(result)}\n\n{int8_plans(result)}\n")
    else:
        raise click.UsageError("--weights, --annotations and --images belong together; give all three or none")
    print(int8_accuracy(result))
    write_figures(json_path, result)
