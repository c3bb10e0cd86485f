"""How a network is quantised to INT8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from yolact.calib.options import CalibrationOptions, Int8Request, progress_file, require_data
from yolact.calib.quantization_points import MODULES, Platform
from yolact.calib.ranges import Algorithm
from yolact.cli.options.groups import given_options, option_group
from yolact.cli.options.values import AT_LEAST_1, FILE, OUTPUT_FILE, parse_words
from yolact.runtime.output_files import check_output, refuse_overwriting

if TYPE_CHECKING:
    from yolact.calib.image_set import ImageSet
    from yolact.runtime.wording import Say


def _parse_modules(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    modules = tuple(word for word in parse_words(value) if word)
    if not modules or not set(modules) <= set(MODULES):
        raise click.BadParameter(f"expected some of {', '.join(MODULES)}, got {value!r}")
    return modules


def check_cache_output(cache: Path | None, inputs: Sequence[Path | None]) -> None:
    """Apply `check_output` to both files of --calib-cache, if it is given: the ranges, and the progress until then.

    A cache that exists is only read, so its folder need not be writable.
    """
    if cache is not None:
        check = refuse_overwriting if cache.is_file() else check_output
        for file in (cache, progress_file(cache)):
            check("--calib-cache", file, inputs)


def read_calibration_images(request: Int8Request, warn: Say) -> ImageSet:
    """The images of --calib-data; warns of useless ones. Raises as `ImageSet.of_folder`."""
    from yolact.calib.image_set import ImageSet

    images = ImageSet.of_folder(require_data(request), request.limit)
    for sentence in images.doubts():
        warn(sentence)
    return images


@option_group(
    "quantization",
    click.option("--calib-data", type=FILE, metavar="DIR", help="Folder of calibration images."),
    click.option("--calib-limit", type=AT_LEAST_1, default=500, help="Most calibration images to use."),
    click.option(
        "--calib-batch", type=AT_LEAST_1, default=1, help="Calibration images per run; more need more memory."
    ),
    click.option(
        "--calib-cache",
        type=OUTPUT_FILE,
        metavar="FILE",
        help="File that keeps the calibration for the next time; its progress is kept beside it.",
    ),
    click.option(
        "--calib-algorithm",
        type=click.Choice(get_args(Algorithm)),
        default="percentile",
        help="How the ranges of activations are chosen.",
    ),
    click.option(
        "--int8-platform",
        type=click.Choice(get_args(Platform)),
        help="Platform that will run the file.  [default: by the output: tensorrt for a plan, cpu for an ONNX file]",
    ),
    click.option(
        "--int8-modules",
        metavar=",".join(MODULES),
        callback=_parse_modules,
        help="Parts of the network in INT8.  [default: backbone,protonet for TensorRT, all for a CPU]",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="LAYER",
        help="Leave a layer, or all layers below this name, out of INT8; may be repeated.",
    ),
)
def int8_options(
    calib_data: Path | None,
    calib_limit: int,
    calib_batch: int,
    calib_cache: Path | None,
    calib_algorithm: Algorithm,
    int8_platform: Platform | None,
    int8_modules: tuple[str, ...] | None,
    exclude: tuple[str, ...],
) -> Int8Request:
    """How a network is quantised."""
    given = given_options(*locals())
    return Int8Request(
        data=calib_data,
        limit=calib_limit,
        options=CalibrationOptions(calib_algorithm, calib_batch, calib_cache),
        platform=int8_platform,
        modules=int8_modules,
        exclude=exclude,
        given=given,
    )
