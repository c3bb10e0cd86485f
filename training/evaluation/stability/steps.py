"""What changes from one frame to the next beside the motion that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import BoolArray
from yolact.runtime.images.geometry import Region
from yolact.runtime.tracking.assignment import assign
from yolact.runtime.tracking.shape import Shape, mask_ious
from yolact.training.evaluation.stability.motions import Matrix

MATCHED_IOU = 0.5
"""From which two masks are the same instance's."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """The instances of a frame that are to be in the next.

    Attributes:
        ious: (M,) of each that is found again: IoU of its moved mask with the one found.
        boxes: (M,) mean distance of the box's sides from where they should be, in shares of the root of its area.
        areas: (M,) change of the mask's area beside the motion, a share.
        scores: (M,) change of the score.
        floors: (M,) IoU of its mask with itself moved there and back: what moving the mask costs alone.
        lost: instances that are not found again.
        appeared: instances of the next frame that were not in this one.
    """

    ious: Array
    boxes: Array
    areas: Array
    scores: Array
    floors: Array
    lost: int
    appeared: int


def measure_step(before: Detections, after: Detections, motion: Matrix) -> Step:
    """Compare two frames of one size; `motion` leads from pixels of the first to those of the second.

    Of masks that reach out of a frame, what is in both counts. An instance none of whose pixels stays is not counted.
    """
    size = before.image_size
    inverse = np.asarray(cv2.invertAffineTransform(motion), np.float64)
    everywhere = np.ones(size, np.bool_)
    there, here = _moved(everywhere, motion), _moved(everywhere, inverse)
    moved = [_moved(mask, motion) for mask in before.masks]
    stays = [index for index, mask in enumerate(moved) if mask.any()]
    seen = [mask & there for mask in after.masks]
    come = [index for index, mask in enumerate(seen) if mask.any()]
    ious = mask_ious([_shape(moved[i]) for i in stays], [_shape(seen[j]) for j in come]).astype(np.float64)
    ious[before.class_ids[stays][:, None] != after.class_ids[come]] = 0
    ious[ious < MATCHED_IOU] = 0
    pairs = assign(ious)
    rows, columns = np.array(stays, np.intp)[pairs[:, 0]], np.array(come, np.intp)[pairs[:, 1]]
    expected = _move_boxes(before.boxes[rows], motion, size)
    sides = np.abs(expected - after.boxes[columns]).mean(axis=1)
    extent = np.maximum(expected[:, 2:] - expected[:, :2], 1)
    areas = np.array([[moved[i].sum(), seen[j].sum()] for i, j in zip(rows, columns, strict=True)]).reshape(-1, 2)
    return Step(
        ious=ious[pairs[:, 0], pairs[:, 1]],
        boxes=sides / np.sqrt(extent.prod(axis=1)),
        areas=np.abs(np.diff(areas)[:, 0]) / areas[:, 0],
        scores=np.abs(before.ranking_scores[rows].astype(np.float64) - after.ranking_scores[columns]),
        floors=np.array([_iou(_moved(moved[i], inverse), before_mask & here) for i, before_mask in _of(before, rows)]),
        lost=len(stays) - len(pairs),
        appeared=len(come) - len(pairs),
    )


def _of(detections: Detections, rows: NDArray[np.intp]) -> list[tuple[int, BoolArray]]:
    masks = detections.masks
    return [(int(row), masks[row]) for row in rows]


def _moved(mask: BoolArray, motion: Matrix) -> BoolArray:
    """A mask (H, W) moved; a pixel is set where at least half of it is."""
    if np.array_equal(motion, np.eye(2, 3)):
        return mask
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    corners = np.array([(left - 1, top - 1), (left + width, top + height)]) @ motion[:, :2].T + motion[:, 2]
    extent = mask.shape[::-1]
    first = np.clip(np.floor(corners.min(axis=0)), 0, extent).astype(int)
    last = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, extent).astype(int)
    moved = np.zeros_like(mask)
    if width and (first < last).all():  # only around the mask: photos may be large
        part = motion.copy()
        part[:, 2] += motion[:, :2] @ (left, top) - first
        levels = mask[top : top + height, left : left + width].astype(np.float32)
        size = (last - first).tolist()
        warped = cv2.warpAffine(levels, part, size, flags=cv2.INTER_LINEAR, borderValue=0)
        moved[first[1] : last[1], first[0] : last[0]] = np.asarray(warped) >= 0.5
    return moved


def _shape(mask: BoolArray) -> Shape:
    """A mask (H, W) in the region around it, as whole pictures take long to compare with each other."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    region = Region(top, left, top + height, left + width)
    return Shape.of(region, mask[region.slices])


def _iou(a: BoolArray, b: BoolArray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _move_boxes(boxes: NDArray[np.float32], motion: Matrix, size: tuple[int, int]) -> Array:
    """Where boxes should be, cut at the image. Motions do not turn, so corners stay corners; edges are half a pixel
    beside the centres of pixels."""
    corners = boxes.astype(np.float64).reshape(-1, 2) - 0.5
    moved = corners @ motion[:, :2].T + motion[:, 2] + 0.5
    inside: Array = np.clip(moved, 0, size[::-1]).reshape(-1, 4)
    return inside


@dataclass(frozen=True)
class Stability:
    """Figures of many steps; None where no instance was matched.

    Attributes:
        instances: that were to be found again.
        iou, iou_p5: mean and 5th percentile of masks' IoU after the exact motion.
        floor: the mean IoU that moving masks there and back leaves.
        lost: share of instances that are not found again.
        box, area, score: means of the changes in `Step`.
    """

    instances: int
    iou: float | None
    iou_p5: float | None
    floor: float | None
    lost: float | None
    box: float | None
    area: float | None
    score: float | None

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Stability:
        """The figures of steps of any number of films."""
        matched = sum(len(step.ious) for step in steps)
        instances = matched + sum(step.lost for step in steps)
        five: Callable[[Array], float] = lambda values: float(np.percentile(values, 5))  # noqa: E731
        return cls(
            instances=instances,
            iou=_of_all(steps, "ious", np.mean),
            iou_p5=_of_all(steps, "ious", five),
            floor=_of_all(steps, "floors", np.mean),
            lost=1 - matched / instances if instances else None,
            box=_of_all(steps, "boxes", np.mean),
            area=_of_all(steps, "areas", np.mean),
            score=_of_all(steps, "scores", np.mean),
        )

    def to_json(self) -> dict[str, float | int | None]:
        """The figures by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _of_all(steps: Sequence[Step], name: str, figure: Callable[..., float]) -> float | None:
    values = np.concatenate([np.zeros(0), *(getattr(step, name) for step in steps)])
    return float(figure(values)) if len(values) else None
