"""Calls that may wait for long inside a library, where Ctrl-C would not be heard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 2.0  # for an interrupted call to return


class Waiting:
    """Makes calls in a thread each, while the caller waits in a way that a signal ends.

    Attributes:
        is_abandoned: whether a call was left that goes on. What it uses must not be touched any more.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        """`interrupt` lets the library's call return soon, as far as that can be done."""
        self._interrupt = interrupt
        self.is_abandoned = False

    def call(self, function: Callable[[], T]) -> T:
        """What the function returns or raises."""
        outcome: Future[T] = Future()

        def work() -> None:
            try:
                outcome.set_result(function())
            except BaseException as error:
                outcome.set_exception(error)

        thread = threading.Thread(target=work, daemon=True, name="yolact waiting")
        thread.start()
        try:
            return outcome.result()
        finally:
            if not outcome.done():
                self._interrupt()
                thread.join(_SECONDS)  # a thread inside a library while Python ends may crash it
            self.is_abandoned = thread.is_alive() and not outcome.done()
