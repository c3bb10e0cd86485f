"""Detections of rectangles that move on exactly known ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.packed_masks import PackedMask

SIZE = (120, 160)
NAMES = ("box", "ball")
Box = tuple[int, int, int, int]


def rectangles(
    boxes: Sequence[Box],
    scores: Sequence[float] | None = None,
    class_ids: Sequence[int] | None = None,
    size: tuple[int, int] = SIZE,
) -> Detections:
    """Detections whose masks are these rectangles (left, top, right, bottom), those before in front; cut at the image.

    What is wholly hidden is not found.
    """
    height, width = size
    free = np.ones(size, np.bool_)
    kept, masks, corners = [], [], []
    for index, (left, top, right, bottom) in enumerate(boxes):
        full = np.zeros(size, np.bool_)
        full[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        visible = full & free
        free &= ~full
        if visible.any():
            rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
            region = Region(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
            kept.append(index)
            masks.append(PackedMask.pack(region, visible[region.slices]))
            corners.append((region.left, region.top, region.right, region.bottom))
    return Detections(
        boxes=np.array(corners, np.float32).reshape(-1, 4),
        scores=np.array([0.9 if scores is None else scores[index] for index in kept], np.float32),
        class_ids=np.array([0 if class_ids is None else class_ids[index] for index in kept], np.int32),
        mask_scores=None,
        mask_probabilities=None,
        transform=ImageTransform((height, width)),
        names=NAMES,
        mask_bits=tuple(masks),
    )
