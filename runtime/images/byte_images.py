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
"""Bits per value of cameras and scanners; all but the first are stored in 16 bits."""

_told: set[str] = set()


_HOT = 1e-3
"""Share of the values that may be those of hot pixels."""


def to_bytes(image: NDArray[Any], name: str, *, is_unbounded: bool = False) -> Image:
    """An image (H, W, 3) or (H, W) of any type as (H, W, 3) uint8 in the same order of channels.

    Integers of more than 8 bits lose their lowest ones. The largest value tells how many bits they have: cameras keep
    10, 12 or 14 bits in 16. Floating-point values up to 1 stand for 0 to 255, others for themselves, or, where
    `is_unbounded`, the largest for 255. Where one value in a thousand at most is above a quarter of the largest, these
    are hot pixels, which become white, and the next below counts as the largest. The first time anything but full 16
    bits is found, a warning says so.

    Raises ImageError, with `name`, where the values are of neither range.
    """
    if image.dtype == np.uint8:
        return _with_channels(np.asarray(image, np.uint8))
    least, most = (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)
    if not (least >= 0 and (most < 1 << _DEPTHS[-1] or (is_unbounded and most < np.inf))):  # which NaN does not pass
        raise ImageError(
            f"{name}: expected values from 0 to 65535, or to 1, got {least:g} to {most:g} of {image.dtype}; scale the "
            "image to 8 bits"
        )
    largest, most = most, _without_hot(image, most)
    factor, bits, what = _scale(image.dtype, most, is_unbounded)
    is_hot = largest * factor >= 256
    if bits < _DEPTHS[-1] or is_hot:
        white = f", and values above {most:g} become white" if is_hot else ""
        _tell(f"{bits} {is_unbounded} {is_hot}", name, what + white)
    if image.dtype.kind == "f":
        return _with_channels(np.minimum(np.rint(image * image.dtype.type(factor)), 255).astype(np.uint8))
    return _with_channels(np.minimum(image >> bits - 8, 255).astype(np.uint8))


def _without_hot(image: NDArray[Any], most: float) -> float:
    """The largest value that is not of a hot pixel."""
    while np.count_nonzero(image > most / 4) <= _HOT * image.size:
        below = float(image[image <= most / 4].max(initial=0))
        if below == 0:  # there is nothing else in the image
            break
        most = below
    return most


def _scale(dtype: np.dtype[Any], most: float, is_unbounded: bool) -> tuple[float, int, str]:
    """The factor for values up to `most`, the number of bits that it stands for, and the words of the warning."""
    if dtype.kind == "f" and most <= 1:
        return 255, 0, f"has values of {dtype} up to 1, which are multiplied by 255"
    if is_unbounded:
        return 255 / most, 1, f"has values of {dtype} up to {most:g}, which is taken for 255"
    bits = next(bits for bits in _DEPTHS if most < 1 << bits)
    how = "taken as they are" if bits == 8 else f"divided by {1 << bits - 8}"
    return 2.0 ** (8 - bits), bits, f"has {bits}-bit values in {8 * dtype.itemsize} bits, which are {how}"


def _with_channels(image: Image) -> Image:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _tell(kind: str, name: str, what: str) -> None:
    """Warn once for each kind: one line is enough for a folder of such images."""
    if kind not in _told:
        _told.add(kind)
        logger.warning("%s", printable(f"{name} {what}; so are others like it"))
