"""TensorRT plans of the official configurations, built ahead of time by TensorRT for RTX: seconds, sizes, layer types.

Weights are made up, which changes neither sizes nor layers. Nothing is run: that takes a GPU.

    python -m benchmarks.gpu plans [--gpu-arch sm_86] [--json benchmarks/results/plans.json]
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.gpu import tables
from benchmarks.machine import describe_machine
from benchmarks.networks import MANY_CANDIDATES, seeded_model
from yolact.cli.command import reports_errors
from yolact.engines.build_options import BuildOptions
from yolact.engines.builder import build_plan
from yolact.engines.builder_choice import choose_builder
from yolact.export.onnx_model import export_model
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.metadata import Precision
from yolact.runtime.onnx.exported_model import parse_exported_model
from yolact.runtime.tensorrt.flavour import TensorRt
from yolact.training.models.configs import get_config

NAMES = (
    "yolact_resnet50",
    "yolact_base",
    "yolact_darknet53",
    "yolact_im400",
    "yolact_im700",
    "yolact_plus_resnet50",
    "yolact_demo",
)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")


def measure(name: str, precision: Precision, arch: str, tensorrt: TensorRt) -> dict[str, Any]:
    """The sizes of file and plan in bytes, the seconds of the build, and the number of layers by kind and type."""
    model = seeded_model(get_config(name), MANY_CANDIDATES)
    proto = export_model(model, PostprocessConfig(), weights_sha256="", precision=precision)
    data = proto.SerializeToString()
    parsed = parse_exported_model(data, name)
    start = time.perf_counter()
    built = build_plan(parsed, BuildOptions((arch,)), tensorrt)
    seconds = time.perf_counter() - start
    layers = {f"{kind} {dtype}": count for (kind, dtype), count in sorted(built.layers.items())}
    return {"onnx_bytes": len(data), "plan_bytes": len(built.data), "seconds": seconds, "layers": layers}


@click.command()
@click.option("--gpu-arch", default="sm_86", show_default=True)
@json_option
@reports_errors
def main(gpu_arch: str, json_path: Path | None) -> None:
    """Build plans of every configuration in every precision."""
    tensorrt = choose_builder(BuildOptions((gpu_arch,)))
    jobs = [(name, precision) for name in NAMES for precision in PRECISIONS]
    rows = {" ".join(job): measure(*job, gpu_arch, tensorrt) for job in tqdm(jobs, disable=None)}
    machine = {**describe_machine(os.cpu_count() or 1), "builder": str(tensorrt), "gpu_arch": gpu_arch}
    figures = {"machine": machine, "plans": rows}
    print(tables.plans(figures))
    write_figures(json_path, figures)
