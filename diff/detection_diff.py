"""Compares the detections of two engines as sets: which are found again, how well, and which are missing.

The outputs of NMS cannot be compared element by element: two detections of nearly the same score may change places,
and then all elements differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import BoolArray, FloatArray
from yolact.runtime.images.geometry import Region

MATCHING_IOU = 0.5
"""Two detections of one class with this box IoU or more count as the same object."""


POOR_MASK_IOU = 0.5
"""Two masks with a lower IoU count as different objects even in COCO's loosest measure."""


@dataclass(frozen=True)
class Match:
    """One object that both engines found.

    Attributes:
        tested, reference: index of the object in each engine's detections.
        score_difference: score in the tested engine minus that in the reference.
        box_iou, mask_iou: in [0, 1]; masks at image resolution.
    """

    tested: int
    reference: int
    score_difference: float
    box_iou: float
    mask_iou: float


@dataclass(frozen=True)
class ImageDetectionDiff:
    """The differences of one image's detections.

    Attributes:
        matches: in the order of the reference's scores.
        missed: indices of detections that only the reference has.
        spurious: indices of detections that only the tested engine has.
    """

    matches: tuple[Match, ...]
    missed: tuple[int, ...]
    spurious: tuple[int, ...]

    @property
    def badness(self) -> float:
        """Size of the difference: the sum of 1 for each detection without a partner and 1 - mask IoU for each match."""
        return len(self.missed) + len(self.spurious) + sum(1 - match.mask_iou for match in self.matches)


def compare_detections(
    tested: Detections, reference: Detections, score_threshold: float, tolerance: float
) -> ImageDetectionDiff:
    """Match the detections of one image, the reference's best first, each with the unmatched one that overlaps it most.

    Only detections that score above the threshold have to be found. A partner may score lower by the tolerance, so that
    an object at the threshold is not missed because of a difference in the third decimal place.

    Args:
        tested, reference: detections of the same image.
        score_threshold: on `Detections.ranking_scores`.
        tolerance: how far below the threshold the score of a partner may be.
    """
    ours = np.flatnonzero(tested.ranking_scores > score_threshold - tolerance)
    theirs = np.flatnonzero(reference.ranking_scores > score_threshold - tolerance)
    ious = box_ious(tested.boxes[ours], reference.boxes[theirs])
    ious[tested.class_ids[ours][:, None] != reference.class_ids[theirs]] = 0
    partners: dict[int, int] = {}  # of the reference's detections, both as indices of all
    for column in np.argsort(-reference.ranking_scores[theirs], kind="stable"):
        if len(ours) and ious[:, column].max() >= MATCHING_IOU:
            row = int(ious[:, column].argmax())
            partners[int(theirs[column])] = int(ours[row])
            ious[row] = 0
    above_ours, above_theirs = (
        {int(i) for i in np.flatnonzero(found.ranking_scores > score_threshold)} for found in (tested, reference)
    )
    counted = {theirs: ours for theirs, ours in partners.items() if theirs in above_theirs or ours in above_ours}
    return ImageDetectionDiff(
        matches=tuple(_match(tested, ours, reference, theirs) for theirs, ours in counted.items()),
        missed=tuple(sorted(above_theirs - partners.keys())),
        spurious=tuple(sorted(above_ours - set(partners.values()))),
    )


def _match(tested: Detections, ours: int, reference: Detections, theirs: int) -> Match:
    a, b = tested[ours], reference[theirs]
    return Match(
        ours,
        theirs,
        score_difference=float(a.ranking_scores[0] - b.ranking_scores[0]),
        box_iou=float(box_ious(a.boxes, b.boxes)[0, 0]),
        mask_iou=mask_iou(*next(a.iter_masks()), *next(b.iter_masks())),
    )


def box_ious(a: FloatArray, b: FloatArray) -> NDArray[np.float64]:
    """(n, m) IoUs of boxes (n, 4) and (m, 4) xyxy; 0 where both have no area or a coordinate is not finite."""
    first, second = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = sides.clip(min=0).prod(axis=-1)
    union = _area(first) + _area(second) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        ious: NDArray[np.float64] = np.nan_to_num(np.where(union > 0, shared / union, 0))
    return ious


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1)
    return area


def mask_iou(region_a: Region, mask_a: BoolArray, region_b: Region, mask_b: BoolArray) -> float:
    """IoU of two masks, each given inside a region of the image; 1 where both are empty."""
    common = Region(
        max(region_a.top, region_b.top),
        max(region_a.left, region_b.left),
        min(region_a.bottom, region_b.bottom),
        min(region_a.right, region_b.right),
    )
    shared = 0
    if min(common.shape) > 0:
        shared = int((_cut(region_a, mask_a, common) & _cut(region_b, mask_b, common)).sum())
    union = int(mask_a.sum()) + int(mask_b.sum()) - shared
    return shared / union if union else 1.0


def _cut(region: Region, mask: BoolArray, part: Region) -> BoolArray:
    return mask[part.top - region.top : part.bottom - region.top, part.left - region.left : part.right - region.left]


@dataclass
class DetectionTotals:
    """Sums over images.

    Attributes:
        images: number of images.
        missed, spurious: numbers of detections without a partner.
        score_differences, box_ious, mask_ious: of all matches.
    """

    images: int = 0
    missed: int = 0
    spurious: int = 0
    score_differences: list[float] = field(default_factory=list)
    box_ious: list[float] = field(default_factory=list)
    mask_ious: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, diffs: Iterable[ImageDetectionDiff]) -> DetectionTotals:
        """The totals of some images."""
        totals = cls()
        for diff in diffs:
            totals.images += 1
            totals.missed += len(diff.missed)
            totals.spurious += len(diff.spurious)
            totals.score_differences += [match.score_difference for match in diff.matches]
            totals.box_ious += [match.box_iou for match in diff.matches]
            totals.mask_ious += [match.mask_iou for match in diff.matches]
        return totals

    @property
    def matched(self) -> int:
        """Number of objects that both engines found."""
        return len(self.mask_ious)

    @property
    def poor_masks(self) -> int:
        """Number of matched detections with a mask IoU below `POOR_MASK_IOU`; they may be different objects."""
        return sum(iou < POOR_MASK_IOU for iou in self.mask_ious)

    @property
    def missed_share(self) -> float:
        """Share of the reference's detections that are missed, in [0, 1]; 0 where the reference found nothing."""
        return self.missed / max(1, self.matched + self.missed)

    @property
    def spurious_share(self) -> float:
        """Share of the tested engine's detections that are spurious, in [0, 1]; 0 where it found nothing."""
        return self.spurious / max(1, self.matched + self.spurious)

    @property
    def max_score_difference(self) -> float:
        """The largest absolute difference of scores; 0 without matches."""
        return max(map(abs, self.score_differences), default=0.0)

    @property
    def median_box_iou(self) -> float | None:
        """Median box IoU of the matched detections; None without matches."""
        return float(np.median(self.box_ious)) if self.box_ious else None

    @property
    def median_mask_iou(self) -> float | None:
        """Median mask IoU of the matched detections; None without matches."""
        return float(np.median(self.mask_ious)) if self.mask_ious else None


def poor_masks_sentence(totals: DetectionTotals) -> str:
    """A sentence about the matches whose masks hardly overlap."""
    apart = sum(iou == 0 for iou in totals.mask_ious)
    none = f", {apart} of them an IoU of 0" if apart else ""
    return f"{totals.poor_masks} of {totals.matched} matched detections have a mask IoU below {POOR_MASK_IOU}{none}"
