"""Single options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path

import click

from yolact.cli.options.groups import Decorator
from yolact.cli.options.values import (
    AT_LEAST_1,
    EXISTING_FILE,
    EXISTING_FOLDER,
    FILE,
    OUTPUT_FILE,
    OUTPUT_FOLDER,
    check_fraction,
)
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD
from yolact.runtime.images.pixel_limit import MAX_PIXELS, VARIABLE


def engine_option(help: str, *, required: bool = True) -> Decorator:
    """--engine: a file written by this toolkit."""
    return click.option("--engine", required=required, type=EXISTING_FILE, help=help)


def config_option() -> Decorator:
    """--config, as `config_name`."""
    return click.option(
        "--config", "config_name", help="Configuration of a checkpoint; by default from the file name or the tensors."
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


def limit_option(help: str = "Take only the first so many images.  [default: all]") -> Decorator:
    """--limit: take only the first so many."""
    return click.option("--limit", type=AT_LEAST_1, help=help)


def score_threshold_option() -> Decorator:
    """--score-threshold of commands that show detections."""
    return click.option(
        "--score-threshold",
        type=float,
        default=DISPLAY_SCORE_THRESHOLD,
        callback=check_fraction,
        help="Leave out detections that score lower.",
    )


def max_pixels_option() -> Decorator:
    """--max-pixels of commands that read images; it holds for as long as the command runs."""
    return click.option(
        "--max-pixels",
        type=AT_LEAST_1,
        expose_value=False,
        callback=_limit_pixels,
        help=f"Refuse images with more pixels.  [default: {MAX_PIXELS:,}, or what {VARIABLE} says]",
    )


def _limit_pixels(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
    if value is not None:
        before = os.environ.get(VARIABLE)
        _set_limit(str(value))
        context.call_on_close(lambda: _set_limit(before))


def _set_limit(text: str | None) -> None:
    if text is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = text


def folder_option(default: str | None, help: str) -> Decorator:
    """--output of commands that write several files."""
    path = None if default is None else Path(default)
    return click.option("--output", metavar="DIR", type=OUTPUT_FOLDER, default=path, help=help)
