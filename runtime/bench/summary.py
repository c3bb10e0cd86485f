"""Sums up measured durations in the few numbers that are reported: percentiles, a mean, a rate, a slope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class Latency(TypedDict):
    """The durations of something over all runs.

    Percentiles are interpolated linearly between the runs next to them. `images_per_s` counts all images over the time
    of all runs, None where that is below the clock's resolution.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    images_per_s: float | None


def summarise_runs(milliseconds: Sequence[float], images_per_run: int) -> Latency:
    """Summarise at least one run."""
    p50, p90, p99 = np.percentile(milliseconds, (50, 90, 99)).tolist()
    mean = float(np.mean(milliseconds))
    rate = 1000 * images_per_run / mean if mean > 0 else None
    return {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "mean_ms": mean, "images_per_s": rate}


def fit_slope(positions: Sequence[int], milliseconds: Sequence[float]) -> float | None:
    """Milliseconds for each step, by the line with the least squares; None for fewer than two different positions."""
    if len(set(positions)) < 2:
        return None
    return float(np.polyfit(positions, milliseconds, 1)[0])
