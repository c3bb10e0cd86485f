"""Limits on the differences between two engines, and whether they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.diff.detection_diff import DetectionTotals
    from yolact.diff.tensor_diff import TensorDiff


@dataclass(frozen=True)
class Limits:
    """The limits, all fractions of 1.

    Attributes:
        score_threshold: detections with a higher score are compared; the default is that of the official display.
        max_head_error: relative RMS error of each of the network's heads.
        max_missed: share of the reference's detections without a partner.
        max_spurious: share of the tested engine's detections without a partner.
        max_score_difference: of every matched detection.
        min_box_iou, min_mask_iou: median over the matched detections.
    """

    score_threshold: float = DISPLAY_SCORE_THRESHOLD
    max_head_error: float = 0.1
    max_missed: float = 0.02
    max_spurious: float = 0.02
    max_score_difference: float = 0.2
    min_box_iou: float = 0.9
    min_mask_iou: float = 0.9


@dataclass(frozen=True)
class Gate:
    """One limit and the value measured; `option` sets the limit."""

    name: str
    option: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; a measurement that is NaN fails."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        verdict = "within" if self.passed else "FAILED"
        return (
            f"{verdict}: {self.name} {self.measured:.4g}, {'at least' if self.at_least else 'at most'} {self.limit:g}"
        )


def head_gates(heads: Sequence[TensorDiff], limits: Limits) -> Iterator[Gate]:
    """The limits on the heads, one for each."""
    for head in heads:
        yield Gate(f"relative error of {head.name}", "--max-head-error", head.relative, limits.max_head_error)


def detection_gates(totals: DetectionTotals, limits: Limits) -> Iterator[Gate]:
    """The limits on the detections of all images; those on IoUs are left out where no detections match."""
    yield Gate("share of missed detections", "--max-missed", totals.missed_share, limits.max_missed)
    yield Gate("share of spurious detections", "--max-spurious", totals.spurious_share, limits.max_spurious)
    limit = limits.max_score_difference
    yield Gate("largest score difference", "--max-score-difference", totals.max_score_difference, limit)
    for name, option, value, least in (
        ("median box IoU", "--min-box-iou", totals.median_box_iou, limits.min_box_iou),
        ("median mask IoU", "--min-mask-iou", totals.median_mask_iou, limits.min_mask_iou),
    ):
        if value is not None:
            yield Gate(name, option, value, least, at_least=True)


def too_few_detections(totals: DetectionTotals, limits: Limits) -> Iterator[str]:
    """A sentence for each limit on a share that is broken with so few detections that chance decides.

    If none of n detections is missed, the true share is below 3/n with 95 % confidence (the rule of three). So fewer
    detections than 3/limit cannot show whether a limit is kept.
    """
    for option, count, of, limit in (
        ("--max-missed", totals.missed, totals.matched + totals.missed, limits.max_missed),
        ("--max-spurious", totals.spurious, totals.matched + totals.spurious, limits.max_spurious),
    ):
        needed = ceil(3 / limit) if limit > 0 else 0
        if count > limit * of and of < needed:
            images = ceil(needed * totals.images / of)
            yield (
                f"{option} {limit:g} is decided by chance here: it needs about {needed} detections, and there are {of} "
                f"in {count_noun(totals.images, 'image')}; give about {images} images with --data"
            )
