"""`validation/000400_0.jpg`: the same images at every validation, ground truth on the left, prediction on the right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig
from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image
from yolact.training.data.class_pairing import pair_classes
from yolact.training.data.coco.annotations import decode_mask
from yolact.training.data.datasets import Dataset
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.explain.panels import above, beside, text
from yolact.training.pages.side_by_side import draw_to_compare, instances_of_masks

SAMPLE_FOLDERS = ("validation", "training")
"""Folders of pictures of the validation data or, where there is none, of the training data."""

COUNT = 4
"""Number of images whose predictions are drawn."""

MOST_MOMENTS = 24
"""Iterations whose pictures are kept, spread over the run."""

_WIDTH = 800
"""Pixels that each half has at most."""

_NAME = re.compile(r"(\d{6,})_\d\.jpg")


class Sample(NamedTuple):
    """An image (H, W, 3) uint8 BGR with its annotated objects, each with a score of 1."""

    image: Image
    truth: Detections


def validation_samples(truth: GroundTruth, config: ModelConfig) -> list[Sample]:
    """The first images of validation data. Raises ImageError, DatasetError where one cannot be read."""
    class_of = {category: index for index, category in enumerate(pair_classes(config, truth).category_ids)}
    samples = []
    for index, annotated in enumerate(truth.images[:COUNT]):
        known = [a for a in annotated.annotations if a.category_id in class_of and not a.is_crowd]
        classes = [class_of[a.category_id] for a in known]
        masks = [decode_mask(a, annotated.size) for a in known]
        samples.append(_sample(truth.read(index), classes, masks, config))
    return samples


def training_samples(dataset: Dataset, config: ModelConfig) -> list[Sample]:
    """The first images of training data. Raises YolactError where one cannot be read."""
    return [
        _sample(np.asarray(one.image, np.uint8), one.class_ids.tolist(), list(one.masks), config)
        for one in (dataset[index] for index in range(min(COUNT, len(dataset))))
    ]


def _sample(image: Image, classes: Sequence[int], masks: Sequence[NDArray[np.uint8]], config: ModelConfig) -> Sample:
    size = image.shape[0], image.shape[1]
    return Sample(image, instances_of_masks(masks, classes, [1.0] * len(classes), size, config.class_names))


def draw_pair(sample: Sample, found: Detections) -> Image:
    """Ground truth and prediction side by side, each under its heading, in half of 1600 pixels at most."""
    halves = [_column(sample.image, found, title) for found, title in ((sample.truth, "truth"), (found, "found"))]
    return beside(halves, 8)


def _column(image: Image, drawn: Detections, title: str) -> Image:
    picture = draw_to_compare(image, drawn)
    height, width = picture.shape[:2]
    factor = min(1, _WIDTH / max(height, width))
    if factor < 1:
        size = max(1, round(factor * width)), max(1, round(factor * height))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return above([text(f"{title}: {len(drawn)}"), picture], 4)


def file_name(iteration: int, number: int) -> str:
    """The name of a picture."""
    return f"{iteration:06d}_{number}.jpg"


def drop_pictures(folder: Path, after: int | None = None) -> None:
    """Delete pictures so that those of `MOST_MOMENTS` iterations are left, the first and the last among them.

    Args:
        folder: of the pictures, which may be missing; other files in it stay.
        after: delete those of later iterations instead, which an earlier run has left.

    Raises OSError where a file cannot be deleted.
    """
    if not folder.is_dir():
        return
    moments: dict[int, list[Path]] = {}
    for path in folder.iterdir():
        if match := _NAME.fullmatch(path.name):
            moments.setdefault(int(match[1]), []).append(path)
    order = sorted(moments)
    surplus = _least_missed(order) if after is None else [iteration for iteration in order if iteration > after]
    for iteration in surplus:
        for path in moments[iteration]:
            path.unlink(missing_ok=True)


def _least_missed(order: list[int]) -> list[int]:
    """The iterations to drop where there are too many: those that lie closest between two others."""
    kept, surplus = list(order), []
    while len(kept) > MOST_MOMENTS:
        closest = min(range(1, len(kept) - 1), key=lambda index: kept[index + 1] - kept[index - 1])
        surplus.append(kept.pop(closest))
    return surplus
