"""Options of TensorRT's builder."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from yolact.cli.options.groups import given_options, option_group
from yolact.cli.options.values import parse_words
from yolact.engines.build_options import MAX_OPTIMIZATION_LEVEL, BuildOptions, BuildRequest, PluginUse
from yolact.engines.timing_cache import default_folder

_BUILDERS = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}


def _parse_archs(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return () if value is None else parse_words(value)


@option_group(
    "build",
    click.option(
        "--builder",
        type=click.Choice(list(_BUILDERS)),
        help="TensorRT or TensorRT for RTX.  [default: tensorrt if it and a GPU are present, else rtx]",
    ),
    click.option(
        "--gpu-arch",
        metavar="sm_86,...",
        callback=_parse_archs,
        help="Build ahead of time for these GPUs, which need not be in this machine; TensorRT for RTX only.",
    ),
    click.option("--min-batch", type=int, default=1, help="Fewest images per call."),
    click.option("--opt-batch", type=int, help="Images per call that the plan is tuned for.  [default: --min-batch]"),
    click.option("--max-batch", type=int, help="Most images per call.  [default: --opt-batch]"),
    click.option(
        "--workspace", type=int, metavar="MIB", help="Most scratch memory for layers.  [default: the GPU's memory]"
    ),
    click.option(
        "--optimization-level",
        type=int,
        metavar=f"0-{MAX_OPTIMIZATION_LEVEL}",
        help=f"0 builds fastest, {MAX_OPTIMIZATION_LEVEL} gives the fastest plan.  [default: TensorRT's]",
    ),
    click.option(
        "--timing-cache",
        metavar="DIR|none",
        help="Folder that keeps measured kernel times for later builds.  [default: in the user's cache folder]",
    ),
    click.option(
        "--version-compatible", is_flag=True, help="Let later TensorRT run the plan too, which then contains code."
    ),
    click.option("--hardware-compatible", is_flag=True, help="Let every GPU from Ampere on run the plan."),
    click.option(
        "--plugins",
        type=click.Choice(get_args(PluginUse)),
        default="auto",
        help="Plugins of yolact-build-plugins: use them where they were built (auto), never (off), or put them into "
        "the plan, which then contains code (embed).",
    ),
)
def builder_options(
    builder: str | None,
    gpu_arch: tuple[str, ...],
    min_batch: int,
    opt_batch: int | None,
    max_batch: int | None,
    workspace: int | None,
    optimization_level: int | None,
    timing_cache: str | None,
    version_compatible: bool,
    hardware_compatible: bool,
    plugins: PluginUse,
) -> BuildRequest:
    """The options of TensorRT's builder as one object."""
    given = given_options(*locals())
    tuned = min_batch if opt_batch is None else opt_batch
    options = BuildOptions(
        gpu_archs=gpu_arch,
        min_batch=min_batch,
        opt_batch=tuned,
        max_batch=tuned if max_batch is None else max_batch,
        workspace_mib=workspace,
        optimization_level=optimization_level,
        timing_cache=_cache_folder(timing_cache),
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        plugins=plugins,
    )
    return BuildRequest(options, _BUILDERS.get(builder or ""), given)


def _cache_folder(given: str | None) -> Path | None:
    if given is None:
        return default_folder()
    return None if given == "none" else Path(given)
