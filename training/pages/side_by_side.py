"""Instances as they are drawn where two pictures of one image stand side by side: annotated and found, two engines."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import annotate
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.packed_masks import PackedMask

MOST_LABELLED = 40
"""Instances of an image up to which they get labels; more of these would hide the image."""


def draw_to_compare(image: Image, found: Detections) -> Image:
    """The image (H, W, 3) uint8 BGR with the instances, as `annotate` draws them.

    An object is to have one colour in both pictures, though its rank differs: that of its class, where there are
    several classes.
    """
    return annotate(
        image,
        found,
        color_by="class" if len(found.names) > 1 else "instance",
        labels=len(found) <= MOST_LABELLED,
    )


def instances_of_masks(
    masks: Sequence[NDArray[np.uint8]],
    class_ids: Sequence[int],
    scores: Sequence[float],
    size: tuple[int, int],
    names: Sequence[str],
) -> Detections:
    """Instances of known masks as detections of an image of this size (height, width), each in the box around its mask.

    Args:
        masks: (H, W) each, 0 or 1.
        class_ids: indices into `names`.
        scores: with which they are labelled.
    """
    packed = [_pack(mask) for mask in masks]
    boxes = [(r.left, r.top, r.right, r.bottom) for r in (mask.region for mask in packed)]
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        class_ids=np.array(class_ids, np.int32),
        mask_scores=None,
        mask_probabilities=None,
        transform=ImageTransform(size),
        names=tuple(names),
        mask_bits=tuple(packed),
    )


def _pack(mask: NDArray[np.uint8]) -> PackedMask:
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask))
    region = Region(top, left, top + height, left + width)
    return PackedMask.pack(region, mask[region.slices].astype(np.bool_))
