"""What TensorRT says while it works, collected instead of printed."""

from __future__ import annotations

from typing import Any

_NOT_A_REASON = ("driver version is insufficient", "no CUDA-capable device")
"""Follow-up messages of a machine without a GPU, where building ahead of time works all the same."""


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
                self.errors.append(" ".join(message.split()))

        def reason(self) -> str:
            """The first error that says what went wrong."""
            telling = [text for text in self.errors if not any(part in text for part in _NOT_A_REASON)]
            return next(iter(telling or self.errors), "TensorRT gave no reason")

    return Logger()
