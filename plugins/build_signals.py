"""Signals during a build: nothing is left half done and no compiler running, whenever they come.

Outside the main thread, which gets all signals, both contexts do nothing.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_FATAL = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class _Ended(BaseException):
    """One of the signals that would end this process at once."""


@contextlib.contextmanager
def unwound() -> Iterator[None]:
    """Signals that would end this process at once do so only after everything inside has cleaned up after itself."""

    def end(number: int, _: Any) -> None:
        raise _Ended(number)

    changed = [number for number in _FATAL if _in_main_thread() and signal.getsignal(number) is signal.SIG_DFL]
    came: list[int] = []
    try:
        for number in changed:
            signal.signal(number, end)
        yield
    except _Ended as ended:
        came = list(ended.args)
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
    for number in came:
        signal.raise_signal(number)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C and the like are only remembered; on leaving, the last one is raised again.

    A mask would not do: it is for one thread, and Python handles in the main thread what any other receives.
    """
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, *_FATAL) if _in_main_thread()}
    came: list[int] = []
    try:
        for number in previous:
            signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's, so lost
    for number in came[-1:]:
        signal.raise_signal(number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
