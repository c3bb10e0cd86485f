"""Chooses the TensorRT that builds a plan, and checks the options for it."""

from __future__ import annotations

from yolact.engines.build_options import BuildOptions
from yolact.runtime.cuda.gpu import find_gpu, read_gpu
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.packages import how_to_install
from yolact.runtime.tensorrt.flavour import (
    FLAVOURS,
    TENSORRT,
    TENSORRT_RTX,
    FlavourMissing,
    FlavourNotInstalled,
    TensorRt,
    Version,
    known_architectures,
    load_flavour,
)

OLDEST_TENSORRT = Version(10, 3)
"""The oldest TensorRT whose plans the runtime can run: 10.0 has no `device_memory_size_v2`."""


class BuilderMissing(YolactError):
    """No TensorRT on this machine can build the plan."""


def choose_builder(options: BuildOptions, module: str | None = None) -> TensorRt:
    """TensorRT where there is a GPU; else TensorRT for RTX, which builds ahead of time.

    Args:
        options: of the build; TensorRT is not chosen where they name architectures to build ahead of time for.
        module: the flavour to use, by its Python module, instead of choosing.

    Raises:
        BuilderMissing: no installed TensorRT can build the plan; the message has the command that installs one.
        UsageError: the options are not for the flavour.
    """
    wanted = [flavour for flavour in FLAVOURS if module in (None, flavour.module)]
    if module is None and options.gpu_archs:
        wanted = [TENSORRT_RTX]
    reasons = list[object]()
    for flavour in wanted:
        try:
            tensorrt = load_flavour(flavour)
            _check_usable(tensorrt)
        except (FlavourMissing, BuilderMissing) as error:
            reasons.append(error)
        else:
            _check_options(options, tensorrt)
            return tensorrt
    if len(reasons) > 1 and all(isinstance(error, FlavourNotInstalled) for error in reasons):
        extra = (TENSORRT_RTX if find_gpu() is None else TENSORRT).extra
        reasons = [f"neither {' nor '.join(flavour.title for flavour in wanted)} is installed; {how_to_install(extra)}"]
    raise BuilderMissing("; ".join(map(str, reasons)))


def _check_usable(tensorrt: TensorRt) -> None:
    if tensorrt.flavour is not TENSORRT:
        return
    if tensorrt.version < OLDEST_TENSORRT:
        raise BuilderMissing(
            f"{tensorrt} is too old, {OLDEST_TENSORRT.major}.{OLDEST_TENSORRT.minor} or later is needed; "
            "export to ONNX with --functions inline and build that with its trtexec"
        )
    try:
        read_gpu()
    except EngineError as error:
        raise BuilderMissing(f"{tensorrt} can only build on the GPU that the plan is for: {error}") from None


def _check_options(options: BuildOptions, tensorrt: TensorRt) -> None:
    if tensorrt.flavour is TENSORRT:
        if options.gpu_archs:
            raise UsageError(f"{tensorrt} builds only for the GPU at hand; --gpu-arch is for TensorRT for RTX")
        return
    known = known_architectures(tensorrt)
    for arch in options.gpu_archs:
        if arch not in known:
            raise UsageError(f"{tensorrt} builds for {', '.join(known)}, got --gpu-arch {arch}")
    if options.optimization_level is not None:
        raise UsageError("--optimization-level is for TensorRT; TensorRT for RTX chooses kernels when a plan runs")
    for asked, option in (
        (options.version_compatible, "--version-compatible"),
        (options.hardware_compatible, "--hardware-compatible"),
    ):
        if asked:
            raise UsageError(f"{option} is for TensorRT; plans of TensorRT for RTX run on the GPUs of --gpu-arch")
