"""Moves masks from one frame to the next where the motion is unknown: by optical flow that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import BoolArray, FloatArray, Image
from yolact.training.evaluation.stability.moves import Array, ExactMove, Move, move_boxes

MOST_ASTRAY = 0.5
"""Pixels by which the way there and back may miss its beginning; where it misses by more, the flow is discarded."""

STILL_CAMERA = 0.2
"""Pixels, in the mean over a picture, by which it may seem to move while the camera stands still."""

STILL_OBJECT = 0.5
"""Median pixels by which an instance may seem to move while it stands still; it has fewer places than a picture."""

_TRUSTED = 0.5
"""Least share of a mask with trusted flow; with less, it is unknown where the instance went."""

_NOWHERE = 1e9
"""The flow outside the picture. Not NaN, which a weight of 0 would still spread where a way ends on the last pixel."""

_PLACES = 1000
"""Most corners of a picture, at which motion is looked for: elsewhere the flow is mostly noise."""

_FEWEST = 4
"""Least corners that are enough to tell this, and on an instance to leave out all its other pixels."""


@dataclass(frozen=True)
class Flow:
    """Optical flow between two frames of one size (H, W), both ways.

    Attributes:
        forth: (H, W, 2) float32, where a pixel of the first frame is in the second, less where it was; x, y.
        back: likewise from the second frame to the first.
        kept, seen: (H, W), pixels of the first and of the second frame at which the flow can be trusted.
        corners: (P, 2) int, x and y of corners of what the first frame shows, at trusted pixels.
    """

    forth: FloatArray
    back: FloatArray
    kept: BoolArray
    seen: BoolArray
    corners: NDArray[np.intp]

    @classmethod
    def between(cls, first: Image, second: Image) -> Flow:
        """The flow between two pictures (H, W, 3) uint8 BGR, both sides at least `motions.LEAST_SIDE`.

        OpenCV's DIS, which ends the process where a side is below 16 pixels.
        """
        a, b = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in (first, second))
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        nothing = np.zeros((*a.shape, 2), np.float32)  # to begin with
        forth = np.asarray(search.calc(a, b, nothing.copy()), np.float32)
        back = np.asarray(search.calc(b, a, nothing), np.float32)
        kept = _returns(forth, back)
        corners = cv2.goodFeaturesToTrack(a, _PLACES, 0.01, 6, mask=kept.view(np.uint8))
        places = np.zeros((0, 2), np.intp) if corners is None else np.rint(corners).astype(np.intp).reshape(-1, 2)
        return cls(forth, back, kept, _returns(back, forth), places)

    @property
    def discarded(self) -> float:
        """Share of the second frame's pixels that cannot be trusted."""
        return float(1 - self.seen.mean())

    def moves_camera(self) -> bool:
        """Whether the picture as a whole moves.

        The affine motion that fits most of the corners counts, as one corner says little. Where little can be trusted,
        as at a cut, the answer is yes.
        """
        if self.discarded > 1 - _TRUSTED:
            return True
        if len(self.corners) < _FEWEST:  # an empty picture
            return bool(np.median(np.hypot(*self.forth[self.kept].T)) > STILL_CAMERA)
        places = self.corners.astype(np.float64)
        there = places + self._steps(self.corners)
        motion, _ = cv2.estimateAffine2D(places, there, ransacReprojThreshold=1)
        if motion is None:
            return True
        height, width = self.kept.shape
        everywhere = np.stack(np.meshgrid(np.linspace(0, width, 9), np.linspace(0, height, 9)), axis=-1).reshape(-1, 2)
        steps = everywhere @ motion[:, :2].T + motion[:, 2] - everywhere
        return bool(np.sqrt(np.square(steps).sum(axis=1).mean()) > STILL_CAMERA)

    def moves_one(self, masks: Sequence[BoolArray]) -> bool:
        """Whether an instance of these masks in the first frame moves."""
        for mask in masks:
            on_it = self.corners[mask[self.corners[:, 1], self.corners[:, 0]]]
            if len(on_it) < _FEWEST:
                on_it = np.argwhere(mask & self.kept)[:, ::-1]
            if len(on_it) and np.median(np.hypot(*self._steps(on_it).T)) > STILL_OBJECT:
                return True
        return False

    def _steps(self, places: NDArray[np.intp]) -> FloatArray:
        """(P, 2), how far the first frame's pixels x, y (P, 2) move."""
        return self.forth[places[:, 1], places[:, 0]]

    def to_move(self, masks: Sequence[BoolArray]) -> Move:
        """The motion of masks of the first frame: none at all where neither the camera nor one of them moves."""
        if self.moves_camera() or self.moves_one(masks):
            return FlowMove(self)
        return ExactMove(np.eye(2, 3), (self.kept.shape[0], self.kept.shape[1]))


def _returns(flow: FloatArray, other: FloatArray) -> BoolArray:
    """(H, W) whether the way along a flow, and then back along the other, ends where it began."""
    return_x, return_y = cv2.split(_fetch(other, flow, _NOWHERE))
    return np.hypot(flow[..., 0] + return_x, flow[..., 1] + return_y) <= MOST_ASTRAY


def _fetch(values: FloatArray, flow: FloatArray, outside: float) -> FloatArray:
    """The values of a field (H, W) or (H, W, 2) float32 at the ends of a flow (H, W, 2)."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    ends = columns + flow[..., 0], rows + flow[..., 1]
    fetched = cv2.remap(values, *ends, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(outside, outside))
    return np.asarray(fetched, np.float32)


class FlowMove:
    """A motion that was found by optical flow. See `moves.Move`."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.seen, self.kept = flow.seen, flow.kept

    def forth(self, mask: BoolArray) -> BoolArray:
        """See Move."""
        if np.count_nonzero(mask & self.kept) < _TRUSTED * np.count_nonzero(mask):
            return np.zeros_like(mask)
        return (_fetch(mask.astype(np.float32), self._flow.back, 0) >= 0.5) & self.seen

    def back(self, mask: BoolArray) -> BoolArray:
        """See Move."""
        return (_fetch(mask.astype(np.float32), self._flow.forth, 0) >= 0.5) & self.kept

    def boxes(self, boxes: NDArray[np.float32], masks: Sequence[BoolArray]) -> Array:
        """See Move. A box is stretched and moved as fits the flow of its mask best."""
        fits = np.array([[self._fit(mask, axis) for axis in (0, 1)] for mask in masks]).reshape(-1, 2, 2)
        size = (self.kept.shape[0], self.kept.shape[1])
        return move_boxes(boxes, fits[..., 0], fits[..., 1], size)

    def _fit(self, mask: BoolArray, axis: int) -> tuple[float, float]:
        """Factor and shift of x (axis 0) or y (axis 1), by least squares over the mask."""
        rows, columns = np.nonzero(mask & self.kept)
        if len(rows) == 0:
            return 1.0, 0.0
        places = (columns, rows)[axis].astype(np.float64)
        steps = self._flow.forth[rows, columns, axis].astype(np.float64)
        middle = places.mean()
        spread = np.square(places - middle).sum()
        slope = ((places - middle) * steps).sum() / spread if spread else 0.0
        return 1 + slope, steps.mean() - slope * middle
