"""The one definition of how an image becomes network input; evaluation, calibration and inference share it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from yolact.runtime.errors import ImageError
from yolact.runtime.images.arrays import Image


class Preprocessor:
    """Stretches images to the square network input; normalisation happens inside the graph.

    Bilinear with half-pixel centres and no antialiasing, as the official `FastBaseTransform`. The official code
    interpolates in float; here the result is rounded to uint8, within one level of it.
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


def check_image(image: Image) -> None:
    """Raise ImageError unless `image` is a non-empty (H, W, 3) uint8 array."""
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"expected an image as a NumPy array (H, W, 3) uint8 in BGR order, got {type(image).__name__}; "
            "cv2.imread gives None for a file it cannot read"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        advice = "pass several images as a list" if image.ndim == 4 else "convert it first, e.g. with cv2.cvtColor"
        got = f"{image.shape} {image.dtype}"
        raise ImageError(f"expected an image of shape (H, W, 3) and dtype uint8 in BGR order, got {got}; {advice}")
