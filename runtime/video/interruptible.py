"""Calls that may wait for long inside a library, where Ctrl-C would not be heard."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar, cast

T = TypeVar("T")

_SECONDS = 2.0  # for an interrupted call to return


class Ended(Exception):
    """A call came after `Waiting.end`, as another thread's may."""


class _Outcome(NamedTuple, Generic[T]):
    value: T | None
    error: BaseException | None


class Waiting:
    """A thread of its own that makes calls, while the caller waits in a way that a signal ends.

    A signal may come anywhere in the caller's code, even before it knows that a call has begun. So the caller never
    touches objects that calls made: they are used, closed and released in the thread alone, one call after the other.
    """

    def __init__(self, interrupt: Callable[[], None] | None = None) -> None:
        """`interrupt` lets a call return soon; FFmpeg's own waiting ends without it."""
        self._interrupt = interrupt
        self._has_ended = False
        # Its methods are written in C, so a signal never finds them half done.
        self._calls: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[_Outcome[Any]]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=_work, args=[self._calls], daemon=True, name="yolact waiting")
        self._thread.start()
        weakref.finalize(self, self._calls.put, None)

    def call(self, function: Callable[[], T]) -> T:
        """Returns or raises as the function does. Raises Ended after the end."""
        outcomes: SimpleQueue[_Outcome[T]] = SimpleQueue()
        self._calls.put((function, outcomes))
        if self._has_ended:
            outcomes.put(_Outcome(None, Ended()))
        value, error = outcomes.get()
        if error is not None:
            try:
                raise error
            finally:
                del error  # it would keep this frame, and all in it, through its traceback
        return cast(T, value)

    def end(self, last: Callable[[], object]) -> None:
        """Let the running call return, make a last one, which releases the objects, and end the thread.

        A call that does not return is left, and then the last one is made after it, or never, as the process ends.
        """
        self._has_ended = True
        if self._interrupt is not None:
            self._interrupt()
        self._calls.put((last, SimpleQueue()))
        self._calls.put(None)
        with _time_is_over(self._thread):
            self._thread.join(_SECONDS)


def _work(calls: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[_Outcome[Any]]] | None]) -> None:
    while (one := calls.get()) is not None:
        function, outcomes = one
        try:
            outcomes.put(_Outcome(function(), None))
        except BaseException as error:
            outcomes.put(_Outcome(None, error))
        del one, function, outcomes  # the objects made are released here, and not while the next call is waited for
    with contextlib.suppress(Exception):
        while (one := calls.get_nowait()) is not None:
            one[1].put(_Outcome(None, Ended()))


_clocks = threading.Lock()


@contextlib.contextmanager
def _time_is_over(thread: threading.Thread) -> Iterator[None]:
    """Let FFmpeg stop waiting for a server in this thread.

    It asks PyAV ten times a second whether to go on, which compares its limit with what the module `time` says. PyAV
    has no other way to stop it. Where that is not so in a version of PyAV, FFmpeg waits on.
    """
    core: Any = sys.modules.get("av.container.core")

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return math.inf if threading.get_ident() == thread.ident else time.monotonic()

    with _clocks, contextlib.ExitStack() as stack:
        if getattr(core, "time", None) is time:
            stack.callback(setattr, core, "time", time)
            core.time = Clock
        yield
