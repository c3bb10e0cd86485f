"""Pictures small enough for a page that carries them."""

from __future__ import annotations

import cv2

from yolact.runtime.images.arrays import Image


def to_jpeg(image: Image, widest: int) -> bytes:
    """A JPEG file of an image (H, W, 3) uint8 BGR, shrunk to `widest` pixels on its longest side."""
    scale = min(1.0, widest / max(image.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
