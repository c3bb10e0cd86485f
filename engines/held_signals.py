"""Ctrl-C and SIGTERM during a long call into C++, whose callbacks must not raise: held back, then delivered."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

_HELD = (signal.SIGINT, signal.SIGTERM)


class HeldSignals:
    """A context in which SIGINT and SIGTERM are only remembered. On leaving, the last one is raised again.

    Outside the main thread, which gets all signals, it does nothing. Python runs handlers between the main thread's own
    steps, and there are none during a call into C++; the pipe that the interpreter's inner handler writes to tells
    other threads at once.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._previous: dict[int, Any] = {}
        self._ends: tuple[int, int] | None = None
        self._previous_fd = -1

    @property
    def received(self) -> int | None:
        """The signal that came, or None; may be asked for in any thread."""
        if self._ends is not None:
            try:
                came = [number for number in os.read(self._ends[0], 64) if number in _HELD]
            except BlockingIOError:
                came = []
            self._received = came[-1] if came else self._received
        return self._received

    def __enter__(self) -> HeldSignals:
        if threading.current_thread() is threading.main_thread():
            self._ends = os.pipe()
            for end in self._ends:
                os.set_blocking(end, False)
            self._previous_fd = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
            for number in _HELD:
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        if self._ends is None:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        received, ends, self._ends = self.received, self._ends, None
        for end in ends:
            os.close(end)
        if received is not None:
            signal.raise_signal(received)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._received = number
