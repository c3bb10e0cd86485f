"""What a generator of synthetic pictures makes: a picture and what is in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import Image


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        class_ids: (n,) int64 indices into the generator's classes.
        masks: (n, H, W) uint8 of 0 and 1, what is visible of each, at least a pixel; no pixel belongs to two.
        hidden: (n,) bool, whether so little is visible that nobody is asked to find it.
        instance_ids: (n,) int64, the same for the same object in all frames of a video.
    """

    image: Image
    class_ids: NDArray[np.int64]
    masks: NDArray[np.uint8]
    hidden: NDArray[np.bool_]
    instance_ids: NDArray[np.int64]

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(n, 4) xyxy in pixels, around what is visible."""
        corners = [(x, y, x + width, y + height) for x, y, width, height in map(cv2.boundingRect, self.masks)]
        return np.array(corners, np.float32).reshape(-1, 4)
