"""The one definition of how an image becomes network input; evaluation, calibration and inference share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import ImageError
from yolact.runtime.images.arrays import Image


class Preprocessor:
    """Stretches images to the square network input; normalisation happens inside the graph.

    Bilinear with half-pixel centres and no antialiasing, as the official `FastBaseTransform`. The official code
    interpolates in float; here the result is rounded to uint8, so that it differs by one level at most.
    """

    def __init__(self, image_size: int) -> None:
        """`image_size`: side S of the network input, pixels."""
        self.image_size = image_size

    def __call__(self, images: Sequence[Image]) -> Image:
        """Images (H, W, 3) uint8 BGR of any sizes to one batch (N, S, S, 3) uint8 BGR.

        Raises ImageError where an array is no such image.
        """
        size = (self.image_size, self.image_size)
        batch = np.empty((len(images), *size, 3), np.uint8)
        for image, resized in zip(images, batch, strict=True):
            check_image(image)
            cv2.resize(image, size, dst=resized, interpolation=cv2.INTER_LINEAR)
        return batch


def fill_batch(images: Image, size: int) -> Image:
    """The batch (N, S, S, 3) with black images added until there are `size` of them, as a file for a fixed batch needs.

    A batch of `size` or more images is returned as it is.
    """
    missing = size - len(images)
    if missing <= 0:
        return images
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])


def check_image(image: Image) -> None:
    """Raise ImageError unless `image` is a non-empty (H, W, 3) uint8 array."""
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"expected an image as a NumPy array (H, W, 3) uint8 in BGR order, got {type(image).__name__}; "
            f"{_advise_on_object(image)}"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        got = f"{image.shape} {image.dtype}"
        raise ImageError(
            f"expected an image of shape (H, W, 3) and dtype uint8 in BGR order, got {got}; {_advise_on_array(image)}"
        )


def _advise_on_object(image: object) -> str:
    """Advice for a value that is no array."""
    if image is None:
        return "cv2.imread gives None for a file it cannot read"
    if type(image).__module__.startswith("PIL."):
        return 'convert it with np.asarray(image.convert("RGB"))[..., ::-1], which turns RGB into BGR'
    if hasattr(image, "__array__"):
        return "convert it with np.asarray, its channels last and from 0 to 255"
    return "pass one array, or a list of arrays"


def _advise_on_array(image: NDArray[Any]) -> str:
    """Advice for an array of another shape or type."""
    if image.ndim == 4:
        return "pass several images as a list, which list(images) makes"
    if image.size == 0:
        return "it has no pixels"
    steps = (_advise_on_type(image.dtype), _advise_on_shape(image.shape))
    return ", then ".join(step for step in steps if step)


def _advise_on_type(dtype: np.dtype[Any]) -> str:
    """Advice to make bytes of values of another type; this comes first, since OpenCV converts few types."""
    if dtype == np.uint8:
        return ""
    if dtype.kind == "f":
        return "make bytes of values from 0 to 1 with (255 * image).round().astype(np.uint8)"
    if dtype.kind == "b":
        return "make bytes with 255 * image.astype(np.uint8)"
    if dtype == np.uint16:
        return "make bytes of 16 bits with (image >> 8).astype(np.uint8), of 12 bits with >> 4"
    return "make bytes of values from 0 to 255 with image.astype(np.uint8)"


def _advise_on_shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 or shape[2:] == (1,):
        return "make three channels of grey with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
    if shape[2:] == (4,):
        return "drop alpha with cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), or cv2.COLOR_RGBA2BGR"
    if len(shape) == 3 and shape[2] != 3 and shape[0] == 3:
        return "put the channels last with image.transpose(1, 2, 0)"
    return "" if len(shape) == 3 and shape[2] == 3 else "give it the three channels blue, green and red"
