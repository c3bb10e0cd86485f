"""The images with the worst outcomes: what is annotated on each beside what is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.images.drawing import annotate
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.packed_masks import PackedMask
from yolact.training.data.coco.boxes import Size
from yolact.training.data.coco.segmentations import decode
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.confusion import ImageOutcome
from yolact.training.pages.jpeg import to_jpeg

SHOWN = 6
"""How many images at most."""

WIDEST = 600
"""Longest side of a picture, pixels."""


class WorstImage(NamedTuple):
    """One image: its name, its outcome, and JPEG files of the annotations and of the detections drawn on it."""

    name: str
    outcome: ImageOutcome
    truth: bytes
    found: bytes


class _Instance(NamedTuple):
    category_id: int
    score: float
    segmentation: Any


def worst_images(truth: GroundTruth, outcomes: Sequence[ImageOutcome]) -> list[WorstImage]:
    """Those with the largest `badness`, worst first; none without errors.

    Raises ImageError or DatasetError where an image cannot be read any more.
    """
    order = sorted(range(len(outcomes)), key=lambda index: -outcomes[index].badness)
    return [_draw(truth, index, outcomes[index]) for index in order[:SHOWN] if outcomes[index].wrong]


def _draw(truth: GroundTruth, index: int, outcome: ImageOutcome) -> WorstImage:
    image, pixels = truth.images[index], truth.read(index)
    annotated = [_Instance(a.category_id, 1.0, a.segmentation) for a in image.annotations if not a.is_crowd]
    found = [_Instance(row["category_id"], row["score"], row["segmentation"]) for row in outcome.shown]
    pictures = (annotate(pixels, _detections(each, image.size, truth)) for each in (annotated, found))
    return WorstImage(image.file_name, outcome, *(to_jpeg(picture, WIDEST) for picture in pictures))


def _detections(instances: Sequence[_Instance], size: Size, truth: GroundTruth) -> Detections:
    """Instances of the annotations' categories as what `annotate` draws, each in the box around its mask."""
    place = {id: index for index, id in enumerate(truth.categories)}
    masks = [_pack(instance.segmentation, size) for instance in instances]
    boxes = [(r.left, r.top, r.right, r.bottom) for r in (mask.region for mask in masks)]
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([instance.score for instance in instances], np.float32),
        class_ids=np.array([place[instance.category_id] for instance in instances], np.int32),
        mask_scores=None,
        mask_probabilities=None,
        transform=ImageTransform(size),
        names=tuple(truth.categories.values()),
        mask_bits=tuple(masks),
    )


def _pack(segmentation: Any, size: Size) -> PackedMask:
    mask = np.ascontiguousarray(decode(segmentation, size))
    left, top, width, height = cv2.boundingRect(mask)
    region = Region(top, left, top + height, left + width)
    return PackedMask.pack(region, mask[region.slices].astype(np.bool_))
