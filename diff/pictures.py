"""Pictures of the images on which two engines differ most: the detections of each, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from yolact.diff.detection_diff import ImageDetectionDiff
from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import BoolArray, Image
from yolact.training.pages.jpeg import to_jpeg
from yolact.training.pages.side_by_side import draw_to_compare

SHOWN = 3
"""Number of images shown."""

WIDEST = 480
"""Longest side of a picture, pixels."""

ONLY_TESTED, ONLY_REFERENCE = (0, 150, 255), (230, 70, 20)
"""Colours of the difference, blue, green, red: orange and blue, which colour-blind people tell apart too."""


@dataclass(frozen=True)
class WorstImage:
    """One image, as JPEG files.

    Attributes:
        name: of the image.
        diff: the differences of its detections.
        tested, reference: the image with the detections of each engine drawn on it.
        difference: the pixels that are in one mask only, and the boxes of detections without a partner.
    """

    name: str
    diff: ImageDetectionDiff
    tested: bytes
    reference: bytes
    difference: bytes


class WorstImages:
    """Keeps only the few images that differ most in memory."""

    def __init__(self, score_threshold: float) -> None:
        self.images: list[WorstImage] = []
        self._score_threshold = score_threshold

    def add(self, name: str, image: Image, tested: Detections, reference: Detections, diff: ImageDetectionDiff) -> None:
        """Draw the image if it is among the worst so far."""
        if len(self.images) == SHOWN and diff.badness <= self.images[-1].diff.badness:
            return
        pictures = (
            draw_to_compare(image, tested.select(self._score_threshold)),
            draw_to_compare(image, reference.select(self._score_threshold)),
            draw_difference(image, tested, reference, diff),
        )
        self.images.append(WorstImage(name, diff, *(to_jpeg(picture, WIDEST) for picture in pictures)))
        self.images.sort(key=lambda entry: -entry.diff.badness)  # stable: the earlier of two equals stays
        del self.images[SHOWN:]


def draw_difference(image: Image, tested: Detections, reference: Detections, diff: ImageDetectionDiff) -> Image:
    """The image in pale grey, with the pixels that only one side's masks cover, and the boxes without a partner.

    Objects are compared one by one: a pixel is marked where an object's two masks differ, even under other masks.
    """
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    canvas = np.asarray(grey // 2 + 120, np.uint8)
    for match in diff.matches:
        ours, theirs = (_full(found, index) for found, index in ((tested, match.tested), (reference, match.reference)))
        _tint(canvas, ours & ~theirs, ONLY_TESTED)
        _tint(canvas, theirs & ~ours, ONLY_REFERENCE)
    width = max(2, round(max(image.shape[:2]) / 200))
    for found, indices, color in ((reference, diff.missed, ONLY_REFERENCE), (tested, diff.spurious, ONLY_TESTED)):
        for index in indices:
            _tint(canvas, _full(found, index), color)
            left, top, right, bottom = np.rint(np.nan_to_num(found.boxes[index])).astype(int).tolist()
            cv2.rectangle(canvas, (left, top), (right, bottom), color, width)
    return canvas


def _tint(canvas: Image, mask: BoolArray, color: tuple[int, int, int]) -> None:
    """Half the colour, so that several objects and the picture under them show."""
    canvas[mask] = canvas[mask] // 2 + np.array(color, np.uint8) // 2


def _full(found: Detections, index: int) -> BoolArray:
    return found[index].masks[0]
