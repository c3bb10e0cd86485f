"""How an engine file is opened: --device, --threads, --metadata, --allow-host-code and --precision."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from yolact.cli.options.groups import option_group
from yolact.cli.options.values import FILE
from yolact.runtime.engine import MAX_THREADS, ComputePrecision, DeviceChoice, EngineOptions
from yolact.runtime.errors import UsageError


def _parse_device(context: click.Context, parameter: click.Parameter, value: str | None) -> DeviceChoice | None:
    try:
        return None if value is None else DeviceChoice.parse(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


@option_group(
    "open_options",
    click.option(
        "--device",
        metavar="cpu|cuda|tensorrt|openvino",
        callback=_parse_device,
        help="Device that runs the engine: cpu, cuda, cuda:1 or, for an ONNX file, tensorrt (ONNX Runtime's execution "
        "provider), openvino (OpenVINO on the CPU), openvino:GPU or openvino:NPU.  [default: cuda for a plan, else "
        "cpu]",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, MAX_THREADS),
        help="CPU threads in all, for an ONNX file.  [default: one per physical core]",
    ),
    click.option(
        "--metadata",
        "metadata_file",
        metavar="FILE",
        type=FILE,
        help="ONNX file that a plan was built from, for a plan that has lost its .json.",
    ),
    click.option(
        "--allow-host-code",
        is_flag=True,
        help="Let a plan run the code inside it, which version-compatible plans and plans with plugins have.",
    ),
    click.option(
        "--precision",
        type=click.Choice(get_args(ComputePrecision)),
        default="file",
        show_default=True,
        help="Precision to compute in: file, at least as exact as the file says, or, with --device openvino, auto, the "
        "quickest on the device, such as bfloat16.",
    ),
)
def engine_options(
    device: DeviceChoice | None,
    threads: int | None,
    metadata_file: Path | None,
    allow_host_code: bool,
    precision: ComputePrecision,
) -> EngineOptions:
    """How an engine file is opened."""
    return EngineOptions(device, metadata_file, allow_host_code, precision, threads)
