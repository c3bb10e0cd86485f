"""Masks, boxes and scores that move calmly along a track."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import BoolArray, FloatArray
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.packed_masks import PackedMask

_REACH = 3
"""Pixels on either side of an edge within which its place is averaged; larger changes are followed at once."""

_NEW_SPEED = 0.3
"""Weight of the speed that one frame measures of an object."""


@dataclass(frozen=True)
class _Calm:
    """The state of a track.

    Attributes:
        box: (4,) xyxy, pixels; smoothed, as are the scores.
        raw_box: as it was found.
        scores: (1,) or, with the mask score, (2,).
        region: that `edges` lie in, in pixels of the image; may reach out of it.
        edges: (h, w) float32 distance to the edge of the mask, positive inside, up to `_REACH`.
        velocity: (2,) pixels a frame to the right and down.
    """

    box: FloatArray
    raw_box: FloatArray
    scores: FloatArray
    region: Region
    edges: FloatArray
    velocity: NDArray[np.float64]


class Smoother:
    """Averages each track's mask, box and scores with those of the frames before.

    The last frame's are moved by the speed of the track first. An edge is averaged by its place: what a mask gains or
    loses within a few pixels comes calmly, and larger changes at once.
    """

    def __init__(self, share: float = 0.6) -> None:
        """`share`: weight of the present frame, above 0.5 and up to 1, which smooths nothing.

        Raises TypeError where it is no number, ValueError where it is out of its range.
        """
        if not isinstance(share, Real) or isinstance(share, bool):
            raise TypeError(f"share must be a number, got {share!r}")
        if not 0.5 < float(share) <= 1:
            raise ValueError(f"share must be above 0.5 and at most 1, got {share}")
        self._share: float = float(share)
        self._known: dict[int, _Calm] = {}

    def update(self, detections: Detections) -> Detections:
        """The detections of the next frame, in the same order. Those without a track, or new on it, stay as they are.

        Raises ValueError where there are no `track_ids`; `Tracker.update` gives them.
        """
        if detections.track_ids is None:
            raise ValueError("expected detections with track_ids, got none; Tracker.update gives them")
        known, self._known = self._known, {}
        boxes, scores = detections.boxes.copy(), _scores(detections)
        masks = []
        for index, (region, mask) in enumerate(detections.iter_masks()):
            id = int(detections.track_ids[index])
            now = _begin(detections.boxes[index], scores[index], region, mask)
            if id > 0 and now is not None:
                if id in known:
                    now = self._calmed(known[id], now)
                self._known[id] = now
                boxes[index], scores[index] = now.box, now.scores
                region, mask = _mask_of(now, detections.image_size)
            masks.append(PackedMask.pack(region, mask))
        return replace(
            detections,
            boxes=boxes,
            scores=scores[:, 0].copy(),
            mask_scores=None if detections.mask_scores is None else scores[:, 1].copy(),
            mask_probabilities=None,
            mask_bits=tuple(masks),
        )

    def _calmed(self, before: _Calm, now: _Calm) -> _Calm:
        """The state after a frame."""
        old, new = 1 - self._share, self._share
        moved = (now.raw_box.astype(np.float64) - before.raw_box).reshape(2, 2).mean(axis=0)
        velocity = (1 - _NEW_SPEED) * before.velocity + _NEW_SPEED * moved
        expected = before.box + np.tile(velocity, 2).astype(np.float32)
        right, down = np.rint(velocity).astype(int).tolist()
        edges = np.float32(new) * now.edges - np.float32(old * _REACH)
        a, b = now.region, before.region
        top, left = max(a.top, b.top + down), max(a.left, b.left + right)
        bottom, last = min(a.bottom, b.bottom + down), min(a.right, b.right + right)
        if top < bottom and left < last:
            earlier = before.edges[
                top - b.top - down : bottom - b.top - down, left - b.left - right : last - b.left - right
            ]
            edges[top - a.top : bottom - a.top, left - a.left : last - a.left] += np.float32(old) * (earlier + _REACH)
        return replace(
            now,
            box=np.float32(new) * now.box + np.float32(old) * expected,
            scores=np.float32(new) * now.scores + np.float32(old) * before.scores,
            edges=edges,
            velocity=velocity,
        )


def _scores(detections: Detections) -> FloatArray:
    columns = [detections.scores] if detections.mask_scores is None else [detections.scores, detections.mask_scores]
    return np.stack(columns, axis=1)


def _begin(box: FloatArray, scores: FloatArray, region: Region, mask: BoolArray) -> _Calm | None:
    """A track that is first seen; None where nothing of the mask is set."""
    if not mask.any():
        return None
    room = _REACH + 1
    padded = np.pad(mask.view(np.uint8), room)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 3) for side in (padded, 1 - padded))
    # Half a pixel: the edge lies between the last pixel inside and the first outside.
    edges = np.clip(np.where(padded > 0, inside - 0.5, 0.5 - outside), -_REACH, _REACH).astype(np.float32)
    around = Region(region.top - room, region.left - room, region.bottom + room, region.right + room)
    return _Calm(box, box, scores.copy(), around, edges, np.zeros(2))


def _mask_of(calm: _Calm, size: tuple[int, int]) -> tuple[Region, BoolArray]:
    """The mask inside the part of its region that is in the image."""
    region, (height, width) = calm.region, size
    top, left = max(region.top, 0), max(region.left, 0)
    bottom, right = max(min(region.bottom, height), top), max(min(region.right, width), left)
    part = calm.edges[top - region.top : bottom - region.top, left - region.left : right - region.left]
    return Region(top, left, bottom, right), part > 0
