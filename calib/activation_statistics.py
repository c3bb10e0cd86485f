"""Running statistics of activations: limits and histograms. Images are added one by one and not kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 2048
"""Number of bins in a histogram, which reaches from 0 to at least the largest magnitude."""

_ZERO = 1e-30
"""Magnitudes below this count as zero: the reciprocal of a bin's width has to be a float32."""


class ValueRange(NamedTuple):
    """Smallest and largest value."""

    low: float
    high: float


class TensorStatistics:
    """Statistics of one activation over all images seen: limits, and a histogram of magnitudes.

    The histogram's range doubles, by merging pairs of bins, when a larger magnitude comes. So any order of images gives
    the same counts, but for the rounding of the first range.

    Attributes:
        limits: smallest and largest value; (0, 0) before any value was added, NaN where some were not finite.
        counts: (BINS,) float64, number of magnitudes in each bin.
        width: of a bin; 0 as long as all values are 0.
    """

    def __init__(
        self, limits: ValueRange | None = None, counts: NDArray[np.float64] | None = None, width: float = 0.0
    ) -> None:
        """Without arguments, statistics of no values; else statistics that were stored earlier."""
        self.limits = limits or ValueRange(0.0, 0.0)
        self.counts = np.zeros(BINS) if counts is None else counts
        self.width = width

    def add(self, values: NDArray[np.floating]) -> None:
        """Add the values of one batch. Once some are not finite, the limits stay NaN."""
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high, *self.limits]).all():
            self.limits = ValueRange(np.nan, np.nan)
            return
        self.limits = ValueRange(min(self.limits.low, low), max(self.limits.high, high))
        self._widen(max(-low, high))
        if self.width == 0:
            self.counts[0] += values.size
            return
        bins = np.abs(values, dtype=np.float32).ravel()
        bins *= np.float32(1 / self.width)
        np.minimum(bins, BINS - 1, out=bins)
        self.counts += np.bincount(bins.astype(np.int32), minlength=BINS)

    def _widen(self, largest: float) -> None:
        if largest < _ZERO:
            return
        if self.width == 0:  # zeros alone are in bin 0 whatever its width
            self.width = largest / BINS
        while largest > self.width * BINS:
            self.counts[: BINS // 2] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[BINS // 2 :] = 0
            self.width *= 2
