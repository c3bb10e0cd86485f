"""The changes from one frame to the next beside the known motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import BoolArray
from yolact.runtime.images.geometry import Region
from yolact.runtime.tracking.assignment import assign
from yolact.runtime.tracking.shape import Shape, mask_ious
from yolact.training.evaluation.stability.moves import Array, Move

MATCHED_IOU = 0.5
"""Least IoU from which two masks belong to the same instance."""


@dataclass(frozen=True)
class Step:
    """The instances of a frame that are to be in the next.

    Attributes:
        ious: (M,) of each that is found again: IoU of its moved mask with the one found.
        boxes: (M,) mean distance of the box's sides from where they should be, in shares of the root of its area.
        areas: (M,) change of the mask's area beside the motion, a share.
        scores: (M,) change of the score.
        floors: (M,) IoU of its mask with itself moved there and back: the loss by moving the mask alone.
        lost: instances that are not found again.
        appeared: instances of the next frame that were not in this one.
        left_out: instances that are not counted: they left the frame, or it is unknown where they went.
    """

    ious: Array
    boxes: Array
    areas: Array
    scores: Array
    floors: Array
    lost: int
    appeared: int
    left_out: int = 0


def measure_step(before: Detections, after: Detections, move: Move) -> Step:
    """Compare two frames of one size, between which `move` happened.

    Only pixels of masks whose place in the other frame is known count, so none that reach out of a frame. An
    instance of which nothing stays, or of which `move` cannot tell where it went, is not counted.
    """
    masks = before.masks
    moved = [move.forth(mask) for mask in masks]
    stays = [index for index, mask in enumerate(moved) if mask.any()]
    seen = [mask & move.seen for mask in after.masks]
    come = [index for index, mask in enumerate(seen) if mask.any()]
    ious = mask_ious([_shape(moved[i]) for i in stays], [_shape(seen[j]) for j in come]).astype(np.float64)
    ious[before.class_ids[stays][:, None] != after.class_ids[come]] = 0
    ious[ious < MATCHED_IOU] = 0
    pairs = assign(ious)
    rows, columns = np.array(stays, np.intp)[pairs[:, 0]], np.array(come, np.intp)[pairs[:, 1]]
    expected = move.boxes(before.boxes[rows], [masks[row] for row in rows])
    sides = np.abs(expected - after.boxes[columns]).mean(axis=1)
    extent = np.maximum(expected[:, 2:] - expected[:, :2], 1)
    areas = np.array([[moved[i].sum(), seen[j].sum()] for i, j in zip(rows, columns, strict=True)]).reshape(-1, 2)
    return Step(
        ious=ious[pairs[:, 0], pairs[:, 1]],
        boxes=sides / np.sqrt(extent.prod(axis=1)),
        areas=np.abs(np.diff(areas)[:, 0]) / areas[:, 0],
        scores=np.abs(before.ranking_scores[rows].astype(np.float64) - after.ranking_scores[columns]),
        floors=np.array([_iou(move.back(moved[row]), masks[row] & move.kept) for row in rows]),
        lost=len(stays) - len(pairs),
        appeared=len(come) - len(pairs),
        left_out=len(before) - len(stays),
    )


def _shape(mask: BoolArray) -> Shape:
    """A mask (H, W) in the region around it, as whole pictures take long to compare with each other."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    region = Region(top, left, top + height, left + width)
    return Shape.of(region, mask[region.slices])


def _iou(a: BoolArray, b: BoolArray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


@dataclass(frozen=True)
class Stability:
    """Figures of many steps; None where no instance was matched.

    Attributes:
        instances: that were to be found again.
        iou, iou_p5: mean and 5th percentile of masks' IoU after the motion.
        floor: the mean IoU that moving masks there and back leaves.
        lost: share of instances that are not found again.
        box, area, score: means of the changes in `Step`.
        left_out: instances that are not counted, see `Step`.
    """

    instances: int
    iou: float | None
    iou_p5: float | None
    floor: float | None
    lost: float | None
    box: float | None
    area: float | None
    score: float | None
    left_out: int

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
            left_out=sum(step.left_out for step in steps),
        )

    def to_json(self) -> dict[str, float | int | None]:
        """The figures by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _of_all(steps: Sequence[Step], name: str, figure: Callable[..., float]) -> float | None:
    values = np.concatenate([np.zeros(0), *(getattr(step, name) for step in steps)])
    return float(figure(values)) if len(values) else None
