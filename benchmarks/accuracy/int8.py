"""INT8: accuracy, sizes and CPU latency beside fp32 and fp16, for the two platforms and two choices of modules.

Accuracy is that of the two trained models on pictures they have not seen; fp16 is emulated. Plans are built ahead of
time by TensorRT for RTX and not run. Latency is that of the raw heads of YOLACT-ResNet50 at 550 with made-up weights on
ONNX Runtime, each variant in turn, so that all meet the same load.

    python -m benchmarks.accuracy int8 [--bins 500] [--nuclei FOLDER] [--runs 15] [--json benchmarks/results/int8.json]
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
import onnx
from tqdm import tqdm

from benchmarks.accuracy.tables import int8_accuracy, int8_latency, int8_plans
from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.images import write_photos
from benchmarks.machine import describe_machine
from benchmarks.networks import MANY_CANDIDATES, quantised, seeded_model
from benchmarks.onnx_timing import time_in_turns
from benchmarks.trained_models import TrainedModel, model_of_bins, model_of_nuclei
from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.qdq import Ranges
from yolact.calib.quantization_points import DEFAULT_MODULES, MODULES, Platform
from yolact.calib.ranges import Algorithm
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
from yolact.training.data.ground_truth import GroundTruth
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


def int8_variants(exact: Mapping[str, onnx.ModelProto], ranges: Ranges) -> dict[str, onnx.ModelProto]:
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


def measure_ap(trained: TrainedModel) -> dict[str, dict[str, float]]:
    """Mask and box AP of a trained model by variant."""
    model = load_checkpoint(trained.checkpoint)
    exact = {"fp32": export(model, "fp32", trained.limits), "fp16": export(model, "fp16", trained.limits)}
    variants = dict(exact)
    for algorithm in get_args(Algorithm):
        ranges = calibrate(exact["fp32"], trained.calibration, CalibrationOptions(algorithm))
        variants |= {f"{name} {algorithm}": proto for name, proto in int8_variants(exact, ranges).items()}
    return score(variants, trained.truth)


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


def measure(bins: int, nuclei: Path | None, runs: int, threads: int, arch: str) -> dict[str, Any]:
    """Latency and sizes of an official network with made-up weights, accuracy of the trained models."""
    model = seeded_model(get_config("yolact_resnet50"), MANY_CANDIDATES)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = ImageSet.of_folder(write_photos(Path(folder) / "photos", MADE_UP_PHOTOS), MADE_UP_PHOTOS)
        ranges = calibrate(export(model, "fp32", graph="raw"), images, CalibrationOptions())
        figures["latency_ms"] = measure_latency(model, ranges, runs, threads)
        figures["plans"] = measure_plans(model, ranges, arch)
        trained = {"bins": model_of_bins(Path(folder), bins)}
        if nuclei is not None:
            trained["nuclei"] = model_of_nuclei(nuclei)
        figures["pictures"] = {name: len(one.truth.images) for name, one in trained.items()}
        figures["ap"] = {name: measure_ap(one) for name, one in trained.items()}
    return figures


@click.command()
@click.option("--bins", type=click.IntRange(1), default=500, show_default=True, help="Unseen bins to score on.")
@click.option("--runs", type=click.IntRange(1), default=15, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count, help="[default: all cores]")
@click.option("--gpu-arch", default="sm_86", show_default=True)
@click.option("--nuclei", type=click.Path(exists=True, path_type=Path), help="Photographs, as for trained.")
@json_option
@reports_errors
def main(bins: int, runs: int, threads: int, gpu_arch: str, nuclei: Path | None, json_path: Path | None) -> None:
    """Measure the gains and losses of INT8."""
    result = {"machine": describe_machine(threads), "gpu_arch": gpu_arch}
    result |= measure(bins, nuclei, runs, threads, gpu_arch)
    print(f"{int8_latency(result)}\n\n{int8_plans(result)}\n\n{int8_accuracy(result)}")
    write_figures(json_path, result)
