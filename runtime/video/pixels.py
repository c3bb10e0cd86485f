"""Decoded frames of any format, colour space and orientation as upright BGR of eight bits."""

from __future__ import annotations

import functools
from typing import Any, cast

import cv2
import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import Type

from yolact.runtime.images.arrays import Image

_PQ, _HLG = 16, 18  # numbers of ITU-T H.273
_PAPER_WHITE = 203.0  # cd/m2 of white in HDR, ITU-R BT.2408
_KNEE = 0.8  # levels below it, of paper white, stay as they are

# From the primaries of BT.2020 to those of BT.709, ITU-R BT.2087.
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def to_image(frame: VideoFrame) -> Image:
    """A decoded frame as (H, W, 3) uint8 BGR, turned as its display matrix says.

    HDR becomes what a usual screen shows.
    """
    is_hdr = frame.color_trc in (_PQ, _HLG)
    format = "rgb48le" if is_hdr else "bgr24"
    pixels = frame.reformat(format=format, src_color_range=frame.color_range).to_ndarray()
    return _upright(_tone_mapped(pixels, frame.color_trc) if is_hdr else np.asarray(pixels, np.uint8), frame)


def _tone_mapped(pixels: np.ndarray, transfer: int) -> Image:
    """(H, W, 3) uint16 RGB of BT.2020 as uint8 BGR of BT.709: highlights are compressed, all else keeps its level."""
    light = cv2.transform(np.take(_light(transfer), pixels), _TO_BT709)
    above = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    light = np.minimum(light, _KNEE) + (1 - _KNEE) * (1 - np.exp(-above))
    levels = np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2))
    return np.ascontiguousarray(levels.astype(np.uint8)[..., ::-1])


@functools.lru_cache(2)
def _light(transfer: int) -> np.ndarray:
    """The light that each of the 65536 levels stands for, in multiples of paper white, (65536,) float32."""
    level = np.linspace(0, 1, 1 << 16)
    if transfer == _PQ:  # SMPTE ST 2084
        root = level ** (1 / 78.84375)
        light = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:  # ARIB STD-B67 on a screen of 1000 cd/m2
        scene = np.where(level <= 0.5, level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        light = 1000 * scene**1.2
    return (light / _PAPER_WHITE).astype(np.float32)


def _upright(image: Image, frame: VideoFrame) -> Image:
    data = cast(Any, frame.side_data).get(Type.DISPLAYMATRIX)  # by its type, though the stubs know strings alone
    if data is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
    if abs(b) > abs(a):  # the columns of the file become rows
        image = image.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
