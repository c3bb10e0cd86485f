"""Photos as films whose motion is exactly known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import Image

Matrix = NDArray[np.float64]
"""(2, 3) affine, of pixel centres (x, y) in the first frame to those in another."""

_MARGIN = 8
"""Pixels that are cut off a photo on each side, so that the parts that move in were seen by the camera."""

LEAST_SIDE = 4 * _MARGIN
"""Least side of a photo, pixels."""

_NOISE = 3.0
"""Standard deviation of a sensor's noise, grey levels."""

_PAN = (0.37, 0.23)
"""Pixels that the camera moves a frame; the fraction does not recur soon."""

_ZOOM = 1.004
"""Magnification from one frame to the next."""

_SWING = 0.15
"""Share by which brightness goes up and down."""

MOST_FRAMES = int(_MARGIN / max(_PAN))


@dataclass(frozen=True)
class Motion:
    """The motion and the changes of a photo.

    Attributes:
        words: its description, for people.
        place: the matrix of a frame.
        change: a further change of the moved picture in a frame.
    """

    words: str
    place: Callable[[int, tuple[int, int]], Matrix]
    change: Callable[[Image, int, np.random.Generator], Image]


def film(photo: Image, motion: Motion, frames: int, seed: int) -> Iterator[tuple[Image, Matrix]]:
    """Frames of a photo, each with its matrix. A margin of the photo is cut off, the same in all motions.

    Args:
        photo: (H, W, 3) uint8 BGR, both sides at least `LEAST_SIDE`.
        frames: at most `MOST_FRAMES`.
        seed: of noise and the like.
    """
    height, width = photo.shape[0] - 2 * _MARGIN, photo.shape[1] - 2 * _MARGIN
    for frame in range(frames):
        matrix = motion.place(frame, (height, width))
        whole = matrix.copy()
        whole[:, 2] -= matrix[:, :2] @ (_MARGIN, _MARGIN)
        if np.array_equal(matrix, np.eye(2, 3)):
            moved = photo[_MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width].copy()
        else:
            moved = np.asarray(
                cv2.warpAffine(photo, whole, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
                np.uint8,
            )
        yield motion.change(moved, frame, np.random.default_rng([seed, frame])), matrix


def _still(frame: int, size: tuple[int, int]) -> Matrix:
    return np.eye(2, 3)


def _pan(frame: int, size: tuple[int, int]) -> Matrix:
    return np.array([[1, 0, -_PAN[0] * frame], [0, 1, -_PAN[1] * frame]])


def _zoom(frame: int, size: tuple[int, int]) -> Matrix:
    factor, middle = _ZOOM**frame, (np.array(size[::-1]) - 1) / 2
    return np.concatenate([np.eye(2) * factor, (middle - factor * middle)[:, None]], axis=1)


def _same(image: Image, frame: int, random: np.random.Generator) -> Image:
    return image


def _add_noise(image: Image, frame: int, random: np.random.Generator) -> Image:
    noise = random.standard_normal(image.shape, np.float32) * np.float32(_NOISE)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _compress(image: Image, frame: int, random: np.random.Generator) -> Image:
    quality = int(random.integers(50, 96))
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _brighten(image: Image, frame: int, random: np.random.Generator) -> Image:
    gain = np.float32(1 + _SWING * np.sin(1.3 * frame))
    return np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)


MOTIONS = {
    "noise": Motion("still, with a sensor's noise", _still, _add_noise),
    "jpeg": Motion("still, as JPEGs of changing quality", _still, _compress),
    "pan": Motion("the camera turns by fractions of a pixel", _pan, _same),
    "zoom": Motion("the camera zooms in by 0.4 % a frame", _zoom, _same),
    "brightness": Motion("still, brighter and darker by 15 %", _still, _brighten),
}
"""By name."""
