"""Stages of work that overlap: each in a thread of its own, with few items between it and the next."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


@runtime_checkable
class Closeable(Protocol):
    """An object that can be closed, also twice."""

    def close(self) -> None: ...


Stage = Callable[[Iterable[Any]], Iterable[Any]]
"""Makes items of items, as a generator does."""

BETWEEN = 2
"""Items that wait between two stages."""

_NICENESS = 10
"""Added to that of threads that give way. One that competes with a usual thread for a core gets a tenth of the time."""


class Ahead(Iterator[T], Generic[T]):
    """The items of an iterable, which a thread asks for ahead of time. Its exceptions are raised in their turn.

    Closing it lets the thread end after the item that it works on, and closes the iterable there.
    """

    def __init__(self, source: Iterable[T], most: int = BETWEEN, *, gives_way: bool = False) -> None:
        """Start the thread.

        Args:
            source: of the items.
            most: items that wait; one more is being made.
            gives_way: whether the thread lets usual threads go first on a core. Linux alone knows this of threads.
        """
        self._source, self._most, self._gives_way = source, most, gives_way
        self._items = deque[T]()
        self._changed = threading.Condition()
        self._is_done = self._is_closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="yolact stage")
        self._thread.start()

    def _work(self) -> None:
        if self._gives_way and sys.platform == "linux":
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS))
        failure: BaseException | None = None
        try:
            for item in self._source:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._items) < self._most or self._is_closed)
                    if self._is_closed:
                        break
                    self._items.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            failure = error
        try:
            if isinstance(self._source, Closeable):
                self._source.close()
        except BaseException as error:
            failure = failure or error
        with self._changed:
            self._failure, self._is_done = failure, True
            self._changed.notify_all()

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_done or self._is_closed)
            if self._items and not self._is_closed:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            failure, self._failure = self._failure, None
        if failure is not None and not self._is_closed:
            raise failure
        raise StopIteration

    def close(self) -> None:
        """See above; waits for the thread. Calling it again does nothing."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()


def run_stages(source: Iterable[Any], *stages: Stage, slowest: Stage, ahead: bool = True) -> Generator[Any, None, None]:
    """The items that come out of the last stage; closing it closes the source and all stages, the last one first.

    The other stages give way to the slowest. A network computes on all cores at once and waits for the last of them, so
    whatever else takes a millisecond of one core delays it by a millisecond on all of them; there are gaps enough.

    Args:
        source: where the items come from.
        stages: each makes items of those of the one before.
        slowest: the stage that decides how long all take.
        ahead: whether the source and all stages run at the same time, each in a thread; else an item is made when it is
            asked for, in this thread.
    """
    made: list[Any] = [Ahead(source, gives_way=True) if ahead else source]
    for stage in stages:
        items = stage(made[-1])
        made.append(Ahead(items, gives_way=stage is not slowest) if ahead else items)
    try:
        yield from made[-1]
    finally:
        for one in reversed(made):
            if isinstance(one, Closeable):
                one.close()
