"""Signals that end a process: handled for a while, remembered, sent again.

Only the main thread can set handlers and only it runs them, so in any other thread nothing here does anything.
plugins/build.py imports this from setup.py, before anything is installed, so it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

KILLING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process at once where it has no handler. SIGHUP comes when a terminal closes; Windows has none."""


@contextlib.contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let `handler` take these signals. What took them before does so again afterwards."""
    previous = {number: signal.getsignal(number) for number in numbers if _in_main_thread()}
    try:
        for number in previous:
            signal.signal(number, handler)
        yield
    finally:
        for number, before in previous.items():
            # None stands for a handler that C code had installed, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if before is None else before)


@contextlib.contextmanager
def unwound() -> Iterator[None]:
    """A signal that would kill this process does so only after everything inside has cleaned up after itself."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    number = None
    try:
        with handled([one for one in KILLING if signal.getsignal(one) is signal.SIG_DFL], end):
            yield
    except _Ended as ended:
        (number,) = ended.args
    if number is not None:
        signal.raise_signal(number)


class _Ended(BaseException):
    """One of the signals that `unwound` waits with; its argument is the number."""


class HeldSignals:
    """A context in which signals are only remembered. On leaving, the last one that came is sent again.

    A signal mask would not do: it holds for one thread, and the main thread runs the handlers of signals that any other
    thread receives.

    Args:
        numbers: the signals, by default SIGINT and SIGTERM.
    """

    def __init__(self, numbers: Iterable[int] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self._numbers = tuple(numbers)
        self._received: int | None = None
        self._pipe: int | None = None
        self._context = contextlib.ExitStack()

    @property
    def received(self) -> int | None:
        """The signal that came last, None before there is one. Any thread may ask.

        During a call into C++ the main thread runs no handler. The interpreter writes a signal's number into a pipe as
        soon as the signal comes, and there other threads see it at once.
        """
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):  # nothing has come
                came = [number for number in os.read(self._pipe, 64) if number in self._numbers]
                self._received = came[-1] if came else self._received
        return self._received

    def __enter__(self) -> HeldSignals:
        with contextlib.ExitStack() as context:
            context.enter_context(handled(self._numbers, self._remember))
            if _in_main_thread():
                context.enter_context(self._written_to_a_pipe())
            self._context = context.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()
        if self._received is not None:
            signal.raise_signal(self._received)

    @contextlib.contextmanager
    def _written_to_a_pipe(self) -> Iterator[None]:
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        before = signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
        self._pipe = ends[0]
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._received, self._pipe = self.received, None
            for end in ends:
                os.close(end)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self._received = number


class StopRequest:
    """A context in which the first signal asks the work inside to stop soon. A second Ctrl-C interrupts it at once.

    Attributes:
        signal: number of the signal that came, 0 before there is one.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._context = contextlib.ExitStack()

    def __enter__(self) -> StopRequest:
        self._context.enter_context(handled((signal.SIGINT, signal.SIGTERM), self._remember))
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
