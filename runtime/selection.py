"""The choice among the detections of an image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import FloatArray


@dataclass(frozen=True)
class Selection:
    """The best detections that score above a threshold, of some classes; see `Detections.select`.

    Attributes:
        score_threshold: the value that their scores must exceed.
        top_k: how many at most; None for all.
        class_ids: of these classes; None for all.

    Raises ValueError where `top_k` is negative or the threshold is NaN, TypeError where one is no number, or a class
    is no whole number, such as its name.
    """

    score_threshold: float = 0.0
    top_k: int | None = None
    class_ids: Collection[int] | None = None

    def __post_init__(self) -> None:
        threshold, top_k = self.score_threshold, self.top_k
        if not isinstance(threshold, Real) or threshold != threshold:
            kind = ValueError if isinstance(threshold, Real) else TypeError
            raise kind(f"score_threshold must be a number, got {threshold!r}")
        if top_k is not None and not _is_whole(top_k):
            raise TypeError(f"top_k must be a whole number or None, got {top_k!r}")
        if top_k is not None and top_k < 0:
            raise ValueError(f"top_k must not be negative, got {top_k}")
        if self.class_ids is not None:
            wanted = list(self.class_ids)
            if not all(map(_is_whole, wanted)):
                raise TypeError(f"class_ids must be whole numbers, indices into names, got {wanted!r:.60}")
            object.__setattr__(self, "class_ids", tuple(wanted))  # an iterator serves many images too

    def indices(
        self, scores: FloatArray, ranking_scores: FloatArray, class_ids: NDArray[np.integer]
    ) -> NDArray[np.intp]:
        """The indices of the wanted detections (D,), best first."""
        order = rank(scores, ranking_scores, self.score_threshold)
        if self.class_ids is not None:
            order = order[np.isin(class_ids[order], list(self.class_ids))]
        return order[: self.top_k]


def _is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or NumPy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def rank(scores: FloatArray, ranking_scores: FloatArray, score_threshold: float) -> NDArray[np.intp]:
    """Indices of the detections above a threshold, best first; see `Detections.select`."""
    order = np.argsort(-ranking_scores, kind="stable")
    keep = (scores > score_threshold) & (ranking_scores >= score_threshold)
    chosen: NDArray[np.intp] = order[keep[order]]
    return chosen
