"""The library with the toolkit's TensorRT plugins that `yolact-build-plugins` makes: where it lies, and loading it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable
from pathlib import Path

from yolact.runtime.cuda.built_libraries import DESCRIPTION, LIBRARY_FOLDER, GpuCode, read_gpu_code
from yolact.runtime.cuda.gpu import Gpu
from yolact.runtime.errors import EngineError
from yolact.runtime.tensorrt.flavour import TENSORRT_RTX, TensorRt, registered_plugins
from yolact.runtime.wording import one_line

PLUGINS = ("YolactFastNms", "YolactMaskAssembly")
"""Names under which the plugins register; without them TensorRT builds the bodies of the ONNX functions."""

HOW_TO_BUILD = "build them here with: yolact-build-plugins"

_registering = threading.Lock()
_loaded: dict[str, GpuCode] = {}
"""The GPUs that the loaded library has code for, by the module of the TensorRT that it was loaded into."""


def installed_library() -> Path | None:
    """The library of plugins, None where it was not built."""
    path = LIBRARY_FOLDER / "libyolact_plugins.so"
    return path if path.is_file() else None


def installed_code() -> GpuCode | None:
    """The GPUs that the library has code for, None where no file beside it says so."""
    return read_gpu_code(LIBRARY_FOLDER)


def loaded_code(tensorrt: TensorRt) -> GpuCode | None:
    """The GPUs that the plugins in use have code for; None where that is unknown, as of plugins from elsewhere."""
    return _loaded.get(tensorrt.flavour.module)


def describe_library(gpus: Iterable[Gpu] = ()) -> tuple[bool, str]:
    """Whether the library can serve these GPUs, and a sentence: which GPUs it has code for, or how to build it."""
    library = installed_library()
    if library is None:
        return False, f"not built, so TensorRT builds the ONNX functions' bodies; {HOW_TO_BUILD}"
    text, code = f"{library}, {file_size(library)}", installed_code()
    if code is None:
        return True, f"{text}, for unknown GPUs, as {DESCRIPTION} beside it is missing or damaged; {HOW_TO_BUILD}"
    missing = {gpu.arch: gpu.name for gpu in gpus if not code.covers(gpu.arch)}
    if not missing:
        return True, f"{text}, for {code}"
    here = ", ".join(f"{name} ({arch})" for arch, name in missing.items())
    return False, f"{text}, for {code}, so not for {here}; {how_to_build_for(*missing)}"


def how_to_build_for(*archs: str) -> str:
    """The command after which the library runs on these architectures."""
    return f"{HOW_TO_BUILD} --arch {','.join(archs)}"


def file_size(path: Path) -> str:
    """The size of a file, such as `3.1 MB`, or `16 kB` where it is less than a megabyte."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def load_plugins(tensorrt: TensorRt) -> frozenset[str]:
    """Register the library's plugins with this TensorRT, once per process and only where the library was built.

    Returns the names of the toolkit's plugins that are registered now, whoever registered them.
    Raises EngineError where the library is there but does not load.
    """
    with _registering:
        registered = registered_plugins(tensorrt, PLUGINS)
        library = installed_library()
        registry = tensorrt.module.get_plugin_registry()
        if library is None or registry is None or len(registered) == len(PLUGINS):
            return registered
        code = installed_code()
        reason = _preload(tensorrt, library) or _load(registry, library)
        registered = registered_plugins(tensorrt, PLUGINS)
        if reason is None and code is not None:
            _loaded[tensorrt.flavour.module] = code
    if reason is None and len(registered) < len(PLUGINS):
        reason = f"it registers {', '.join(sorted(registered)) or 'nothing'} of {', '.join(PLUGINS)}"
    if reason is not None:
        raise EngineError(
            f"the plugins {library} do not load into {tensorrt} ({reason}); build them again with "
            "yolact-build-plugins, or delete that file to go without"
        )
    return registered


def _preload(tensorrt: TensorRt, library: Path) -> str | None:
    """Open the libraries that must be open before TensorRT opens this one. Returns the reason of a failure."""
    wanted = [library]  # TensorRT does not say why a library does not open
    if tensorrt.flavour is TENSORRT_RTX:
        # Its parser asks for plugins only where it finds itself under a name without a version, which wheels lack.
        wanted.insert(0, library.parent / "rtx" / "libtensorrt_rtx.so")
    try:
        for path in wanted:
            ctypes.CDLL(str(path))
    except OSError as error:
        return one_line(error)
    return None


def _load(registry: object, library: Path) -> str | None:
    try:
        handle = registry.load_library(str(library))  # type: ignore[attr-defined]
    except Exception as error:  # what the bindings raise differs between versions
        return one_line(error)
    return "TensorRT gave no reason" if handle is None else None
