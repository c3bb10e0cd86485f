"""Calibration of scores: of detections that score 0.8, eight in ten should be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Detections in bins of equal width, by score from 0 to 1.

    Attributes:
        counts: (BINS,) detections in each.
        mean_scores, precisions: (BINS,) mean score and share of right detections; NaN in an empty bin.
    """

    counts: NDArray[np.int64]
    mean_scores: NDArray[np.float64]
    precisions: NDArray[np.float64]

    @classmethod
    def of(cls, scores: Sequence[float], right: Sequence[bool]) -> Calibration:
        """The calibration of detections with these scores; a score on the border of two bins is in the upper one."""
        values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
        places = bin_of(values, BINS)
        counts = np.bincount(places, minlength=BINS)
        with np.errstate(invalid="ignore"):
            sums = (np.bincount(places, weights=weights, minlength=BINS) / counts for weights in (values, hits))
            return cls(counts, *sums)

    @property
    def error(self) -> float | None:
        """Expected calibration error (Guo et al. 2017): the mean of |precision - score| over the bins, weighed by
        counts; None without detections."""
        filled = self.counts > 0
        if not filled.any():
            return None
        gaps = np.abs(self.precisions - self.mean_scores)[filled]
        return float(np.average(gaps, weights=self.counts[filled]))


def bin_of(scores: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    """The bin of each score, of so many of equal width from 0 to 1; 0.7 in float32 counts as 0.7."""
    return np.clip(np.floor(np.round(scores * bins, 6)), 0, bins - 1).astype(np.intp)
