"""The step of the check that measures one contender. Its requirements are checked before anything is imported or built.

Not yet run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.gpu.check.skipping import Skip, require_gpu
from yolact.runtime.cuda.kernels import LIBRARY
from yolact.runtime.errors import EngineError, UsageError


def _nothing() -> None:
    """PyTorch alone, which `require_gpu` asks for."""


def _kernels() -> None:
    if not LIBRARY.is_file():
        raise Skip("the CUDA kernels are not built, see the step that builds them")


def _builder(module: str) -> None:
    from yolact.engines.build_options import BuildOptions
    from yolact.engines.builder_choice import BuilderMissing, choose_builder
    from yolact.runtime.cuda.gpu import read_gpu

    try:
        choose_builder(BuildOptions(), module)
        read_gpu()
    except (BuilderMissing, EngineError) as error:
        raise Skip(str(error)) from error


def _builder_and_kernels(module: str) -> None:
    _kernels()
    _builder(module)


def _provider(kind: str) -> None:
    from yolact.runtime.engine import DeviceChoice
    from yolact.runtime.onnx.providers import check_provider

    try:
        check_provider(DeviceChoice.parse(kind))
    except UsageError as error:
        raise Skip(str(error)) from error


NEEDS: dict[str, Callable[[], None]] = {
    "recorded": _kernels,
    "eager": _nothing,
    "eager-fp32": _nothing,
    "tensorrt": partial(_builder_and_kernels, "tensorrt"),
    "tensorrt-cpu": partial(_builder, "tensorrt"),
    "tensorrt-rtx": partial(_builder_and_kernels, "tensorrt_rtx"),
    "tensorrt-rtx-cpu": partial(_builder, "tensorrt_rtx"),
    "ort-cuda": partial(_provider, "cuda"),
    "ort-tensorrt": partial(_provider, "tensorrt"),
}
"""For each of `measuring.CONTENDERS` a function that raises Skip where it cannot run. It needs no PyTorch."""


def run_contender(result: Path, network: str, contender: str, folder: str) -> None:
    """Check and time one contender in all batches, see `measuring.measure_contender`.

    Raises Skip if a requirement is missing, YolactError if its detections do not agree with the reference.
    """
    NEEDS[contender]()
    require_gpu()
    from benchmarks.gpu.detectors.measuring import measure_contender

    measure_contender(result, network, contender, folder)
