"""The functions of the CUDA driver, through NVIDIA's cuda-bindings, with failures as sentences."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from yolact.runtime.errors import EngineError
from yolact.runtime.packages import how_to_install
from yolact.runtime.wording import one_line


class DriverError(EngineError):
    """A driver function that failed; `code` is the name of the reason, such as CUDA_ERROR_OUT_OF_MEMORY."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Driver:
    """The functions of the CUDA driver by name, every return code checked."""

    def __init__(self) -> None:
        """Raises EngineError where cuda-bindings or the NVIDIA driver is missing, or the driver does not start."""
        try:
            from cuda.bindings import driver
        except ImportError as error:
            raise EngineError(f"running a TensorRT plan needs cuda-bindings; {how_to_install('tensorrt')}") from error
        self.bindings: Any = driver
        try:
            self("cuInit", 0)
        except RuntimeError as error:  # what cuda-bindings raises where there is no libcuda
            missing = type(error).__name__ == "DynamicLibNotFoundError"  # which talks of search paths at length
            reason = "libcuda is not found" if missing else one_line(error)
            raise EngineError(
                f"there is no NVIDIA driver on this machine ({reason}); install it, or run an ONNX file on the CPU"
            ) from error
        except DriverError as error:
            raise EngineError(f"the NVIDIA driver finds no GPU that it can use: {error}; see nvidia-smi") from error

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Call one function. Returns the values that it gives beside its code: None, one value, or a tuple of them."""
        code, *values = getattr(self.bindings, name)(*arguments)
        if int(code):
            text = self.bindings.cuGetErrorString(code)[1]
            reason = f"{code.name}, {text.decode()}" if text else code.name
            raise DriverError(f"{name} failed ({reason})", code.name)
        return values[0] if len(values) == 1 else tuple(values) or None

    @property
    def version(self) -> tuple[int, int]:
        """The newest CUDA that the driver supports, (major, minor)."""
        version = self("cuDriverGetVersion")
        return version // 1000, version % 1000 // 10

    def quietly(self, name: str, *arguments: Any) -> None:
        """Call one function that frees something and pass over a failure: the driver repeats earlier ones there."""
        with suppress(DriverError):
            self(name, *arguments)
