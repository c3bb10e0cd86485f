"""Single options that several commands have."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import click

from yolact.cli.options.groups import Decorator
from yolact.cli.options.named import ENGINE, ONNX_ENGINE
from yolact.cli.options.values import (
    AT_LEAST_1,
    EXISTING_FOLDER,
    FILE,
    OUTPUT_FILE,
    OUTPUT_FOLDER,
    check_fraction,
)
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD
from yolact.runtime.errors import UsageError
from yolact.runtime.images import decoder_choice, pixel_limit
from yolact.runtime.images.pixel_limit import MAX_PIXELS
from yolact.runtime.triton.address import TritonAddress


def triton_option() -> Decorator:
    """--triton: the address of a model on a server, instead of --engine."""
    return click.option(
        "--triton",
        metavar="ADDRESS",
        callback=_parse_address,
        help="Instead of --engine: the address of a served model that yolact-triton wrote, such as "
        "grpc://localhost:8001/yolact.",
    )


def _parse_address(context: click.Context, parameter: click.Parameter, value: str | None) -> TritonAddress | None:
    try:
        return None if value is None else TritonAddress.parse(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def engine_option(help: str, *, required: bool = True, onnx: bool = False) -> Decorator:
    """--engine: a file written by this toolkit, or weights that are exported to one; with `onnx`, never to a plan."""
    kind = ONNX_ENGINE if onnx else ENGINE
    return click.option("--engine", metavar="FILE|NAME", required=required, type=kind, help=help)


def config_option() -> Decorator:
    """--config, as `config_name`."""
    return click.option(
        "--config",
        "config_name",
        help="Configuration of a checkpoint.  [default: found by the file name or the tensors]",
    )


def json_option(help: str) -> Decorator:
    """--json, as `json_file`."""
    return click.option("--json", "json_file", metavar="FILE", type=OUTPUT_FILE, help=help)


def annotations_option(help: str, *, required: bool = False) -> Decorator:
    """--annotations: a file in COCO's format."""
    return click.option("--annotations", metavar="FILE", type=FILE, required=required, help=help)


def images_option(*, required: bool = False) -> Decorator:
    """--images: the folder that belongs to --annotations."""
    return click.option(
        "--images", metavar="DIR", type=EXISTING_FOLDER, required=required, help="Folder of the annotated images."
    )


def limit_option(help: str = "Use only this many images, the first ones.  [default: all]") -> Decorator:
    """--limit: use only the first images."""
    return click.option("--limit", type=AT_LEAST_1, help=help)


def score_threshold_option() -> Decorator:
    """--score-threshold of commands that show detections."""
    return click.option(
        "--score-threshold",
        type=float,
        default=DISPLAY_SCORE_THRESHOLD,
        callback=check_fraction,
        help="Leave out detections with a lower score.",
    )


def max_pixels_option() -> Decorator:
    """--max-pixels of commands that read images; it holds for as long as the command runs."""
    return click.option(
        "--max-pixels",
        type=AT_LEAST_1,
        expose_value=False,
        callback=partial(_set_while_running, pixel_limit.VARIABLE),
        help="Refuse images and frames with more pixels than this.  [default: the value of "
        f"{pixel_limit.VARIABLE}, else {MAX_PIXELS:,}]",
    )


def jpeg_decoder_option() -> Decorator:
    """--jpeg-decoder; it holds for as long as the command runs."""
    variable, (default, _) = decoder_choice.VARIABLE, decoder_choice.DECODERS
    return click.option(
        "--jpeg-decoder",
        type=click.Choice(decoder_choice.DECODERS),
        expose_value=False,
        callback=partial(_set_while_running, variable),
        help="Decoder of JPEGs; nvimgcodec runs on a GPU and needs its extra.  [default: the value of "
        f"{variable}, else {default}]",
    )


def _set_while_running(
    variable: str, context: click.Context, parameter: click.Parameter, value: int | str | None
) -> None:
    """Set an environment variable until the command ends. Functions far below the command read it."""
    if value is not None:
        before = os.environ.get(variable)
        _set(variable, str(value))
        context.call_on_close(lambda: _set(variable, before))


def _set(variable: str, text: str | None) -> None:
    if text is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = text


def folder_option(default: str | None, help: str) -> Decorator:
    """--output of commands that write several files."""
    path = None if default is None else Path(default)
    return click.option("--output", metavar="DIR", type=OUTPUT_FOLDER, default=path, help=help)
