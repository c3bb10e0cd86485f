"""The command `yolact-build`: an exported ONNX file to a TensorRT plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, command_line, note, say
from yolact.cli.options.builder import builder_options
from yolact.cli.options.common import engine_option
from yolact.cli.options.values import OUTPUT_FILE
from yolact.engines.plan_output import check_plan_output, write_plan

if TYPE_CHECKING:
    from yolact.engines.build_options import BuildRequest


@command("yolact-build")
@engine_option("ONNX file written by yolact-export; the plan computes in its types.", onnx=True)
@click.option("--output", metavar="FILE", type=OUTPUT_FILE, default=Path("yolact.plan"), help="Plan to write.")
@builder_options
def main(engine: Path, output: Path, build: BuildRequest) -> None:
    """Build a TensorRT plan from an ONNX file, and write a .json beside it that describes the plan.

    Without a GPU, TensorRT for RTX builds ahead of time: for every GPU it supports, or for those of --gpu-arch.

    Exit codes: 0 done, 1 nothing here can build plans, or the build or the output failed, 2 wrong usage, 3 TensorRT
    would not compute in the types of the file, 4 the file is no ONNX file of this toolkit, 130 interrupted.
    """
    check_plan_output(output, [engine])
    from yolact.engines.builder_choice import choose_builder
    from yolact.runtime.onnx.exported_model import read_exported_model

    tensorrt = choose_builder(build.options, build.module)
    model = read_exported_model(engine)
    write_plan(model, build.options, tensorrt, output, command=command_line(), say=say, note=note)


if __name__ == "__main__":
    main()
