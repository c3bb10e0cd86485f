"""`yolact-build`: an exported ONNX file to a TensorRT plan."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.cli.build_options import builder_options
from yolact.cli.command import reports_errors
from yolact.engines.build_options import BuildRequest
from yolact.runtime.engine_files import PLAN_SUFFIXES
from yolact.runtime.errors import UsageError
from yolact.runtime.output_files import check_output
from yolact.runtime.tensorrt.flavour import FLAVOURS
from yolact.runtime.tensorrt.plan_file import sidecar_of

if TYPE_CHECKING:
    from yolact.engines.builder import BuiltPlan


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--onnx",
    "onnx_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX file written by yolact-export; its types are the plan's.",
)
@click.option("--output", type=click.Path(path_type=Path), default=Path("yolact.plan"), help="Plan to write.")
@click.version_option(__version__)
@reports_errors
@builder_options
def main(onnx_file: Path, output: Path, build: BuildRequest) -> None:
    """Build a TensorRT plan from an ONNX file, and beside it a .json that says what it is.

    Without a GPU, TensorRT for RTX builds ahead of time: for every GPU it supports, or for those of --gpu-arch.

    Exit codes: 0 done, 1 nothing here can build it, or the build or the output failed, 2 wrong usage, 3 TensorRT would
    not compute in the types of the file, 4 no ONNX file of this toolkit, 130 interrupted.
    """
    check_plan_output(output, [onnx_file])
    from yolact.engines.builder import build_plan
    from yolact.engines.builder_choice import choose_builder
    from yolact.runtime.onnx.exported_model import read_exported_model

    tensorrt = choose_builder(build.options, build.module)
    model = read_exported_model(onnx_file)
    start = time.perf_counter()
    built = build_plan(model, build.options, tensorrt, command=command_line("yolact-build"))
    seconds = time.perf_counter() - start
    built.save(output)
    for note in built.notes:
        click.echo(click.format_filename(note), err=True)
    for line in describe_plan(built, output, seconds):
        click.echo(click.format_filename(line))


def check_plan_output(output: Path, inputs: list[Path | None]) -> None:
    """As `check_output`, and the name must be that of a plan."""
    if output.suffix not in PLAN_SUFFIXES:
        raise UsageError(f"--output {output}: expected a name that ends in {', '.join(PLAN_SUFFIXES)}")
    for path in (output, sidecar_of(output)):
        check_output("--output", path, inputs)


def command_line(command: str) -> str:
    """The running command as it can be pasted into a shell."""
    return shlex.join([command, *sys.argv[1:]])


def describe_plan(built: BuiltPlan, output: Path, seconds: float) -> Iterator[str]:
    """Lines for the user about a plan that was written."""
    identity = built.identity
    title = next(flavour.title for flavour in FLAVOURS if flavour.module == identity.flavour)
    gpus = identity.gpu_name or ", ".join(identity.gpu_archs) or "Ampere and later"
    types = ", ".join(f"{count} in {name}" for name, count in sorted(identity.precision_obtained.items()))
    rounded = built.metadata.quantization
    if rounded is not None:
        types += f", those of {', '.join(rounded.modules)} rounded to INT8"
    batch = "-".join(map(str, sorted({identity.min_batch, identity.max_batch})))
    yield f"{title} {identity.tensorrt_version} for {gpus}; convolutions: {types}; batch {batch}; {seconds:.1f} s"
    if identity.plugins:
        carried = "the plan carries them, and commands want --allow-host-code for that"
        where = carried if identity.plugins_embedded else "build them where it runs too: yolact-build-plugins"
        yield f"with the plugins {', '.join(identity.plugins)}; {where}"
    yield f"wrote {output}: {identity.size / 1e6:.1f} MB, and {sidecar_of(output).name}"


if __name__ == "__main__":
    main()
