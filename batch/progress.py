"""Lines about the progress of a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from yolact.batch.part_files import PartSummary
from yolact.runtime.wording import Say, count_noun

_SECONDS = 10.0
"""Between two lines."""


class Progress:
    """Counts images as parts are done, and reports them from time to time."""

    def __init__(
        self, images: int, done: Iterable[PartSummary], note: Say, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`images`: number in the whole job; `done`: parts done before; `note`: gets the lines."""
        self._images, self._note, self._clock = images, note, clock
        self._before = self._done = sum(part.images for part in done)
        self._unreadable = 0
        self._start = self._told = clock()
        if self._before:
            note(f"{self._before:,} of {count_noun(images, 'image')} are done already")

    def add(self, part: PartSummary) -> None:
        """Count a part that was done."""
        self._done += part.images
        self._unreadable += part.unreadable
        now = self._clock()
        if now - self._told >= _SECONDS or self._done == self._images:
            self._told = now
            self._note(self._line(max(now - self._start, 1e-9)))

    def _line(self, seconds: float) -> str:
        speed = (self._done - self._before) / seconds
        words = [f"{self._done:,} of {self._images:,} images", f"{speed:.1f} images/s"]
        if self._unreadable:
            words.append(f"{self._unreadable:,} without a result")
        if self._done < self._images:
            words.append(f"{_duration((self._images - self._done) / speed)} left")
        return ", ".join(words)


def _duration(seconds: float) -> str:
    """``50 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
