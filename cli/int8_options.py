"""Options about INT8 that commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from yolact.calib.options import CalibrationOptions, Int8Request
from yolact.calib.quantization_points import MODULES, Platform
from yolact.calib.ranges import Algorithm
from yolact.runtime.output_files import check_output


def _parse_modules(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    modules = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    unknown = [module for module in modules if module not in MODULES]
    if unknown or not modules:
        raise click.BadParameter(f"expected some of {', '.join(MODULES)}, got {value!r}")
    return modules


_OPTIONS = (
    click.option("--calib-data", type=click.Path(path_type=Path), metavar="DIR", help="Folder of calibration images."),
    click.option("--calib-count", type=click.IntRange(min=1), default=500, help="Take at most so many of them."),
    click.option("--calib-batch", type=click.IntRange(min=1), default=1, help="Images at a time; more need memory."),
    click.option(
        "--calib-cache",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Keep the calibration here for the next time, and its progress beside it.",
    ),
    click.option(
        "--calib-algorithm",
        type=click.Choice(get_args(Algorithm)),
        default="percentile",
        help="How ranges are chosen.",
    ),
    click.option(
        "--int8-platform",
        type=click.Choice(get_args(Platform)),
        help="What is to run it.  [default: by the output: tensorrt for a plan, cpu for an ONNX file]",
    ),
    click.option(
        "--int8-modules",
        metavar=",".join(MODULES),
        callback=_parse_modules,
        help="Parts of the network in INT8.  [default: backbone,protonet for TensorRT, all for a CPU]",
    ),
    click.option("--exclude", multiple=True, metavar="LAYER", help="Leave a layer, or all below it, out of INT8."),
)

_NAMES = (
    "calib_data",
    "calib_count",
    "calib_batch",
    "calib_cache",
    "calib_algorithm",
    "int8_platform",
    "int8_modules",
    "exclude",
)


def int8_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command the options about INT8; it gets them as an `Int8Request` in `request`.

    Put this below `reports_errors`.
    """

    @functools.wraps(command)
    def collected(
        *,
        calib_data: Path | None,
        calib_count: int,
        calib_batch: int,
        calib_cache: Path | None,
        calib_algorithm: Algorithm,
        int8_platform: Platform | None,
        int8_modules: tuple[str, ...] | None,
        exclude: tuple[str, ...],
        **others: Any,
    ) -> Any:
        if calib_cache is not None and not calib_cache.is_file():
            check_output("--calib-cache", calib_cache, [])
        request = Int8Request(
            data=calib_data,
            count=calib_count,
            options=CalibrationOptions(calib_algorithm, calib_batch, calib_cache),
            platform=int8_platform,
            modules=int8_modules,
            exclude=exclude,
            given=_given(),
        )
        return command(request=request, **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _given() -> tuple[str, ...]:
    context = click.get_current_context()
    return tuple(
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _NAMES and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    )
