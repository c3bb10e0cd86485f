"""Turns AVIF images by the format's own properties, which OpenCV does not apply.

Its EXIF orientation means nothing beside them (ISO/IEC 23008-12, 6.5.10 and 6.5.12; as libavif and browsers do).
"""

from __future__ import annotations

import re

import numpy as np

from yolact.runtime.images.arrays import Image

_ROTATION = re.compile(rb"\0\0\0\x09irot(.)", re.DOTALL)
_MIRROR = re.compile(rb"\0\0\0\x09imir(.)", re.DOTALL)


def turn_upright(image: Image, data: bytes) -> Image:
    """The image as the file `data` that it was decoded from wants it shown: first turned, then mirrored."""
    start = data.find(b"ipco")  # the properties of all images in the file: transparency and thumbnails share them
    properties = data[start : start + int.from_bytes(data[start - 4 : start], "big")] if start >= 4 else b""
    if match := _ROTATION.search(properties):
        image = np.rot90(image, match[1][0] & 3)  # both count quarters of a turn against the clock
    if match := _MIRROR.search(properties):
        image = image[:, ::-1] if match[1][0] & 1 else image[::-1]
    return np.ascontiguousarray(image)
