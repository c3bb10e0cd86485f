"""Collects TensorRT's messages instead of printing them."""

from __future__ import annotations

from typing import Any

from yolact.runtime.errors import EngineError
from yolact.runtime.tensorrt.flavour import TensorRt
from yolact.runtime.wording import one_line

_NOT_A_REASON = ("driver version is insufficient", "no CUDA-capable device")
"""Parts of messages that come on every machine without a GPU. They explain no failure: building works there too."""


def create(tensorrt: TensorRt, kind: str, logger: Any) -> Any:
    """Make TensorRT's `Builder` or `Runtime`. Raises EngineError where this TensorRT cannot start on this machine."""
    try:
        return getattr(tensorrt.module, kind)(logger)
    except TypeError:  # the bindings got a null pointer
        raise EngineError(
            f"{tensorrt} cannot start here ({logger.reason()}); it may be for a newer CUDA than the driver, see "
            "yolact-doctor"
        ) from None


def make_logger(module: Any) -> Any:
    """An `ILogger` of this TensorRT module that keeps errors in its list `errors`.

    TensorRT holds on to a logger for as long as any of its objects live: keep a reference as long.
    """

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (module.ILogger.INTERNAL_ERROR, module.ILogger.ERROR):
                self.errors.append(one_line(message))

        def reason(self) -> str:
            """The first error with a reason, of those since the last call of this method."""
            telling = [text for text in self.errors if not any(part in text for part in _NOT_A_REASON)]
            found = next(iter(telling or self.errors), "TensorRT gave no reason")
            self.errors.clear()
            return found

    return Logger()
