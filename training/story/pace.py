"""The duration of a run, estimated from its own steps while it runs."""

from __future__ import annotations

import time
from collections import deque

_RECENT = 100
"""Steps that the pace is the mean of."""

_WARM_UP = 2
"""First steps, which start workers and fill caches."""


class Pace:
    """A clock of gradient steps and of the validations between them.

    >>> pace = Pace(total=6, save_every=3)
    >>> for iteration in range(1, 7):
    ...     pace.step()
    ...     left = pace.seconds_left(iteration)
    """

    def __init__(self, total: int, save_every: int) -> None:
        """``total`` iterations, with a checkpoint and a validation every so many."""
        self._total, self._save_every = total, save_every
        self._steps: deque[float] = deque(maxlen=_RECENT)
        self._pause = 0.0
        self._count = 0
        self._since = time.perf_counter()

    def step(self) -> None:
        """A step has ended."""
        now = time.perf_counter()
        self._count += 1
        if self._count > min(_WARM_UP, self._total - 1):
            self._steps.append(now - self._since)
        self._since = now

    def paused(self, seconds: float) -> None:
        """So much time since the last step went into checkpoint and validation."""
        self._pause = seconds
        self._since = time.perf_counter()

    @property
    def seconds_a_step(self) -> float | None:
        """The mean of the recent steps; None before they can tell."""
        return sum(self._steps) / len(self._steps) if self._steps else None

    def seconds_left(self, iteration: int) -> float | None:
        """The time to the end from the step of an iteration, before its checkpoint; None before it can be told.

        Validations count from the first one on, since their duration is unknown before.
        """
        if self.seconds_a_step is None:
            return None
        pauses = -(-self._total // self._save_every) - (iteration - 1) // self._save_every
        return (self._total - iteration) * self.seconds_a_step + pauses * self._pause


def duration(seconds: float) -> str:
    """``12 s``, ``3 min 20 s``, ``2 h 05 min``, ``4 d 3 h``."""
    whole = max(0, round(seconds))
    minutes, hours = whole // 60, whole // 3600
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{minutes} min {whole % 60:02d} s"
    if hours < 48:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24} h"
