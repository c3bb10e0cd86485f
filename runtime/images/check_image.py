"""A picture to run models on where the user names none."""

from __future__ import annotations

import cv2
import numpy as np

from yolact.runtime.images.arrays import Image


def make_check_image(height: int = 480, width: int = 640, seed: int = 0) -> Image:
    """A busy scene (H, W, 3) uint8 BGR: gradients, overlapping shapes, fine texture and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows * 200 / height, columns * 200 / width, (rows + columns) % 64 * 3], axis=2).astype(np.uint8)
    for _ in range(40):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(6, width // 5)), int(rng.integers(6, height // 5)))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.ellipse(
            image,
            centre,
            axes,
            float(rng.integers(180)),
            0,
            360,
            colour,
            int(rng.choice([-1, 3])),
            cv2.LINE_AA,
        )
    noise = rng.normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
