"""Chooses the range that INT8 represents, from an activation's statistics: clipping the tail makes the steps finer."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from yolact.calib.activation_statistics import BINS, TensorStatistics, ValueRange

Algorithm = Literal["entropy", "minmax", "percentile"]

PERCENTILE = 99.999
"""Percentage of the magnitudes that the percentile method represents."""

_LEVELS = 128
"""Number of magnitudes that INT8 can represent."""

_EMPTY = 1e-4
"""Probability that the entropy method gives to an empty bin into which values are clipped. With zero, the divergence
would be infinite for every threshold whose last bin is empty."""

_STEP = 8
"""Bins between two of the 240 thresholds that the entropy method tries."""


def find_range(statistics: TensorStatistics, algorithm: Algorithm) -> ValueRange:
    """The range to represent, within the limits: if no value is negative, the range has no negative part."""
    if algorithm == "minmax" or statistics.width == 0 or np.isnan(statistics.limits.low):
        return statistics.limits
    threshold = (_entropy_bins if algorithm == "entropy" else _percentile_bins)(statistics.counts) * statistics.width
    return ValueRange(max(statistics.limits.low, -threshold), min(statistics.limits.high, threshold))


def _percentile_bins(counts: NDArray[np.float64]) -> int:
    """Number of bins that hold `PERCENTILE` percent of the counts."""
    return int(np.searchsorted(np.cumsum(counts), PERCENTILE / 100 * counts.sum())) + 1


def _entropy_bins(counts: NDArray[np.float64]) -> int:
    """The number of bins whose distribution loses least by rounding to 128 levels, in Kullback-Leibler divergence.

    Values beyond them count in the last bin. Zeros are left out: padding and ReLU make so many that they alone would
    decide, and zero is exact in any case. Source: S. Migacz, 8-bit Inference with TensorRT, GTC 2017.
    """
    counts = counts.copy()
    counts[0] = 0
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 1
    candidates = range(_LEVELS, max(last, _LEVELS) + _STEP, _STEP)
    return min((min(bins, BINS) for bins in candidates), key=lambda bins: _divergence(counts, bins))


def _divergence(counts: NDArray[np.float64], bins: int) -> float:
    """Kullback-Leibler divergence of the first `bins` bins, with all others clipped into the last of them, from the
    same bins after rounding to levels."""
    kept = counts[:bins].copy()
    level = np.arange(bins) * _LEVELS // bins
    filled = kept > 0
    sums = np.bincount(level, kept, _LEVELS)
    shares = np.bincount(level, filled, _LEVELS)
    rounded = np.where(filled, (sums / np.maximum(shares, 1))[level], 0)
    kept[-1] += counts[bins:].sum()
    if not rounded.any():
        return np.inf
    p, q = kept / kept.sum(), rounded / rounded.sum()
    q = np.where(q > 0, q, _EMPTY)
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())
