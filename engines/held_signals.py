"""Ctrl-C and SIGTERM during a call into C++, whose callbacks must not raise: held back, then delivered."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class HeldSignals:
    """A context in which SIGINT and SIGTERM are only remembered. On leaving, the last one is raised again.

    Outside the main thread, which gets all signals, it does nothing.

    Attributes:
        received: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> HeldSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.received is not None:
            signal.raise_signal(self.received)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
