"""Moves masks and boxes from one frame to the next, by the motion alone, where that is exactly known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import BoolArray
from yolact.training.evaluation.stability.motions import Matrix

Array = NDArray[np.float64]


class Move(Protocol):
    """The motion between two frames of one size (H, W).

    Attributes:
        seen: (H, W), pixels of the second frame whose place in the first one is known.
        kept: (H, W), pixels of the first frame whose place in the second one is known.
    """

    seen: BoolArray
    kept: BoolArray

    def forth(self, mask: BoolArray) -> BoolArray:
        """A mask (H, W) of the first frame in the second one; empty where that cannot be told."""

    def back(self, mask: BoolArray) -> BoolArray:
        """A mask (H, W) of the second frame in the first one."""

    def boxes(self, boxes: NDArray[np.float32], masks: Sequence[BoolArray]) -> Array:
        """The expected boxes of instances with boxes (M, 4) xyxy and these masks, in pixels, cut at the frame."""


class ExactMove:
    """A motion that is known, of pixel centres (x, y) of the first frame to those of the second. See `Move`."""

    def __init__(self, motion: Matrix, size: tuple[int, int]) -> None:
        """`size` is (height, width)."""
        self._motion, self._size = motion, size
        self._inverse = np.asarray(cv2.invertAffineTransform(motion), np.float64)
        everywhere = np.ones(size, np.bool_)
        self.seen, self.kept = moved(everywhere, motion), moved(everywhere, self._inverse)

    def forth(self, mask: BoolArray) -> BoolArray:
        """See Move."""
        return moved(mask, self._motion)

    def back(self, mask: BoolArray) -> BoolArray:
        """See Move."""
        return moved(mask, self._inverse)

    def boxes(self, boxes: NDArray[np.float32], masks: Sequence[BoolArray]) -> Array:
        """See Move. Motions do not turn, so corners stay corners."""
        factors = np.tile([self._motion[0, 0], self._motion[1, 1]], (len(boxes), 1))
        return move_boxes(boxes, factors, np.tile(self._motion[:, 2], (len(boxes), 1)), self._size)


def move_boxes(boxes: NDArray[np.float32], factors: Array, shifts: Array, size: tuple[int, int]) -> Array:
    """Boxes (M, 4) after x and y of pixel centres were multiplied by (M, 2) and moved by (M, 2), cut at the frame.

    Edges are half a pixel beside the centres of pixels.
    """
    corners = boxes.astype(np.float64).reshape(-1, 2, 2) - 0.5
    there = corners * factors[:, None] + shifts[:, None] + 0.5
    inside: Array = np.clip(there, 0, size[::-1]).reshape(-1, 4)
    return inside


def moved(mask: BoolArray, motion: Matrix) -> BoolArray:
    """A mask (H, W) moved; a pixel is set where at least half of it is."""
    if np.array_equal(motion, np.eye(2, 3)):
        return mask
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    corners = np.array([(left - 1, top - 1), (left + width, top + height)]) @ motion[:, :2].T + motion[:, 2]
    extent = mask.shape[::-1]
    first = np.clip(np.floor(corners.min(axis=0)), 0, extent).astype(int)
    last = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, extent).astype(int)
    result = np.zeros_like(mask)
    if width and (first < last).all():  # only around the mask: photos may be large
        part = motion.copy()
        part[:, 2] += motion[:, :2] @ (left, top) - first
        levels = mask[top : top + height, left : left + width].astype(np.float32)
        size = (last - first).tolist()
        warped = cv2.warpAffine(levels, part, size, flags=cv2.INTER_LINEAR, borderValue=0)
        result[first[1] : last[1], first[0] : last[0]] = np.asarray(warped) >= 0.5
    return result
