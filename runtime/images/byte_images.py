"""Decoded images of any depth as the bytes that the network was trained on."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import ImageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.wording import printable

logger = logging.getLogger(__name__)

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners give their values; all but the first are stored in 16."""

_told: set[str] = set()


def to_bytes(image: NDArray[Any], name: str) -> Image:
    """An image (H, W, 3) or (H, W) of any type as (H, W, 3) uint8 in the same order of channels.

    Integers of more than 8 bits lose their lowest ones. How many they have is told by the largest value: cameras keep
    10, 12 or 14 bits in 16. Floating-point values up to 1 stand for 0 to 255, others for themselves. The first time
    anything but full 16 bits is found, a warning says so.

    Raises ImageError, with `name`, where the values are of neither range.
    """
    if image.dtype == np.uint8:
        return _with_channels(np.asarray(image, np.uint8))
    least, most = (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)
    if not (least >= 0 and most < 1 << _DEPTHS[-1]):  # which NaN does not pass either
        raise ImageError(
            f"{name}: expected values from 0 to 65535, or to 1, got {least:g} to {most:g} of {image.dtype}; scale the "
            "image to 8 bits"
        )
    if image.dtype.kind == "f" and most <= 1:
        _tell("float", name, f"has values of {image.dtype} up to 1, which are multiplied by 255")
        return _with_channels(np.rint(image * 255).astype(np.uint8))
    bits = next(bits for bits in _DEPTHS if most < 1 << bits)
    if bits < _DEPTHS[-1]:
        factor = "taken as they are" if bits == 8 else f"divided by {1 << bits - 8}"
        _tell(str(bits), name, f"has {bits}-bit values in {8 * image.dtype.itemsize} bits, which are {factor}")
    if image.dtype.kind == "f":
        return _with_channels(np.minimum(np.rint(image / (1 << bits - 8)), 255).astype(np.uint8))
    return _with_channels((image >> bits - 8).astype(np.uint8))


def _with_channels(image: Image) -> Image:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _tell(kind: str, name: str, what: str) -> None:
    """Once of each kind: of a folder of such images one line is enough."""
    if kind not in _told:
        _told.add(kind)
        logger.warning("%s", printable(f"{name} {what}; so are others like it"))
