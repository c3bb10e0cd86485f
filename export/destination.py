"""The file that an export writes: an ONNX file or a TensorRT plan."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from yolact.engines.build_options import BuildRequest
from yolact.engines.builder_choice import BuilderMissing, choose_builder
from yolact.runtime.engine_files import PLAN_SUFFIXES
from yolact.runtime.errors import UsageError
from yolact.runtime.tensorrt.flavour import TensorRt

ONNX_SUFFIX = ".onnx"
DEFAULT_ONNX, DEFAULT_PLAN = Path("yolact.onnx"), Path("yolact.plan")


class Destination(NamedTuple):
    """The file to write.

    Attributes:
        path: its name.
        tensorrt: the TensorRT that builds a plan, None for an ONNX file.
        note: a sentence for the user about the choice, or empty.
    """

    path: Path
    tensorrt: TensorRt | None = None
    note: str = ""


def choose_destination(output: Path | None, build: BuildRequest, *, half: bool) -> Destination:
    """Decide by the file's name. Without a name, choose a plan where an option of the builder asks for one, or where
    the network is in half precision and plans can be built here.

    Raises:
        UsageError: the name has neither suffix, or options of the builder were given for an ONNX file.
        BuilderMissing: a plan was asked for and nothing here can build it.
    """
    if output is not None:
        if output.suffix.lower() in PLAN_SUFFIXES:
            return Destination(output, choose_builder(build.options, build.module))
        if output.suffix.lower() != ONNX_SUFFIX:
            names = ", ".join((ONNX_SUFFIX, *PLAN_SUFFIXES))
            raise UsageError(f"--output {output}: expected a name that ends in one of {names}")
        if build.given:
            raise UsageError(f"{build.given[0]} is for plans; give --output a name that ends in {PLAN_SUFFIXES[0]}")
        return Destination(output)
    if build.given:
        return Destination(DEFAULT_PLAN, choose_builder(build.options, build.module))
    if not half:
        return Destination(DEFAULT_ONNX)
    try:
        return Destination(DEFAULT_PLAN, choose_builder(build.options))
    except BuilderMissing as missing:
        return Destination(
            DEFAULT_ONNX, note=f"writing an ONNX file and no plan, as nothing here can build plans: {missing}"
        )
