"""Images from C's memory, and detections as the buffers that results.c takes apart and whose layout it relies on."""

from __future__ import annotations

import cv2
import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image

_CHANNELS = (3, 3, 1, 4)
_TO_BGR = (None, cv2.COLOR_RGB2BGR, cv2.COLOR_GRAY2BGR, cv2.COLOR_BGRA2BGR)

CImage = tuple[memoryview, int, int, int, int]
"""Pixels, height, width, stride in bytes, YOLACT_FORMAT_..."""

Buffers = tuple[bytes, bytes, bytes, bytes | None, bytes, bytes]
"""The arrays of one image: boxes float32, scores float32, class ids int32, mask scores float32, regions int32 (top,
left, height, width of each), packed bits."""


def as_bgr(pixels: memoryview, height: int, width: int, stride: int, format_: int) -> Image:
    """The image (H, W, 3) uint8 BGR; a view of the caller's memory where that is BGR already."""
    channels = _CHANNELS[format_]
    image = np.ndarray((height, width, channels), np.uint8, pixels, strides=(stride, channels, 1))
    conversion = _TO_BGR[format_]
    return image if conversion is None else np.asarray(cv2.cvtColor(image, conversion), np.uint8)


def as_buffers(found: Detections) -> Buffers:
    """The arrays of one image in the order and types of `yolact_detections`."""
    masks = [((region.top, region.left, *region.shape), bits) for region, bits in found.packed_masks()]
    return (
        np.asarray(found.boxes, np.float32).tobytes(),
        np.asarray(found.scores, np.float32).tobytes(),
        np.asarray(found.class_ids, np.int32).tobytes(),
        None if found.mask_scores is None else np.asarray(found.mask_scores, np.float32).tobytes(),
        np.array([region for region, _ in masks], np.int32).tobytes(),
        b"".join(bits.tobytes() for _, bits in masks),
    )
