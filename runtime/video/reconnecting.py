"""A stream that is connected again where it breaks off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from yolact.runtime.errors import ImageError
from yolact.runtime.video.frames import Frame, Video
from yolact.runtime.wording import Say

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


class ReconnectingVideo(Video):
    """Goes on with the frames of a new connection, at the time that has gone by; the first one tells of the gap."""

    def __init__(self, first: Video, open_again: Callable[[], Video], attempts: int, say: Say) -> None:
        """
        Args:
            first: the connection that there is.
            open_again: gives a new one, or raises ImageError.
            attempts: in a row, without a frame between them.
            say: takes a line about each.
        """
        self.name, self.fps, self.is_live = first.name, first.fps, True
        self._video, self._open_again, self._attempts, self._say = first, open_again, attempts, say
        self._is_closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """Raises ImageError where the stream cannot be connected again."""
        begun = arrived = 0.0
        count, failures, last = 0, 0, 0.0
        while True:
            offset: float | None = None if count else 0.0
            try:
                for frame in self._video:
                    now = time.monotonic()
                    begun = now if count == 0 else begun
                    gap = 0.0
                    if offset is None:
                        offset = max(now - begun, last + 1 / self.fps) - frame.time
                        gap = now - arrived
                    last, arrived, failures = frame.time + offset, now, 0
                    yield replace(frame, time=last, index=count, gap=gap)
                    count += 1
                return
            except ImageError as error:
                failures = self._connect(error, failures)

    def _connect(self, problem: ImageError, failures: int) -> int:
        """Open a new connection; returns the attempts, those before included. Raises ImageError after the last one."""
        self._video.close()
        while failures < self._attempts:
            wait = min(_FIRST_WAIT * 2**failures, _LONGEST_WAIT)
            failures += 1
            self._say(f"{problem}; connecting again in {wait:g} s ({failures} of {self._attempts})")
            if self._is_closed.wait(wait):
                raise problem
            try:
                self._video = self._open_again()
                if self._is_closed.is_set():  # by another thread, while this one waited for the server
                    self._video.close()
                return failures
            except ImageError as error:
                problem = error
        raise problem

    def close(self) -> None:
        self._is_closed.set()
        self._video.close()
