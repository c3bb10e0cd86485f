"""How an engine file is opened: --device, --metadata and --allow-host-code."""

from __future__ import annotations

from pathlib import Path

import click

from yolact.cli.options.groups import option_group
from yolact.cli.options.values import FILE
from yolact.runtime.engine import DeviceChoice, EngineOptions
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
        metavar="cpu|cuda|tensorrt",
        callback=_parse_device,
        help="Device that runs the engine: cpu, cuda, cuda:1 or, for an ONNX file, tensorrt (ONNX Runtime's execution "
        "provider).  [default: cuda for a plan, else cpu]",
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
)
def engine_options(device: DeviceChoice | None, metadata_file: Path | None, allow_host_code: bool) -> EngineOptions:
    """How an engine file is opened."""
    return EngineOptions(device, metadata_file, allow_host_code)
