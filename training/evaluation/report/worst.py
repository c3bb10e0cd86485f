"""The images with the worst outcomes: the annotations of each beside its detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from yolact.runtime.detections import Detections
from yolact.training.data.coco.boxes import Size
from yolact.training.data.coco.segmentations import decode
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.confusion import ImageOutcome
from yolact.training.pages.jpeg import to_jpeg
from yolact.training.pages.side_by_side import draw_to_compare, instances_of_masks

SHOWN = 6
"""Most images shown."""

WIDEST = 600
"""Longest side of a picture, pixels."""


class WorstImage(NamedTuple):
    """One image: its name, its outcome, and JPEG files of the annotations and of the detections drawn on it."""

    name: str
    outcome: ImageOutcome
    truth: bytes
    found: bytes


def worst_images(truth: GroundTruth, outcomes: Sequence[ImageOutcome]) -> list[WorstImage]:
    """The images with the largest `badness`, worst first; none without errors.

    Raises ImageError or DatasetError where an image cannot be read any more.
    """
    order = sorted(range(len(outcomes)), key=lambda index: -outcomes[index].badness)
    return [_draw(truth, index, outcomes[index]) for index in order[:SHOWN] if outcomes[index].wrong]


def _draw(truth: GroundTruth, index: int, outcome: ImageOutcome) -> WorstImage:
    image, pixels = truth.images[index], truth.read(index)
    annotated = [(a.category_id, 1.0, a.segmentation) for a in image.annotations if not a.is_crowd]
    found = [(row["category_id"], row["score"], row["segmentation"]) for row in outcome.shown]
    pictures = (draw_to_compare(pixels, _instances(each, image.size, truth)) for each in (annotated, found))
    return WorstImage(image.file_name, outcome, *(to_jpeg(picture, WIDEST) for picture in pictures))


def _instances(instances: Sequence[tuple[int, float, Any]], size: Size, truth: GroundTruth) -> Detections:
    """Instances for `draw_to_compare`, from category, score and segmentation."""
    place = {id: index for index, id in enumerate(truth.categories)}
    masks = [decode(segmentation, size) for _, _, segmentation in instances]
    ids, scores = [place[id] for id, _, _ in instances], [score for _, score, _ in instances]
    return instances_of_masks(masks, ids, scores, size, tuple(truth.categories.values()))
