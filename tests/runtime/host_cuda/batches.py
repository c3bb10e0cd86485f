"""Batches whose detections are known, and what two engines find in them compared."""

from __future__ import annotations

import numpy as np
from scripted_engine import IMAGE_SIZE

from yolact.runtime.images.arrays import Image
from yolact.runtime.postprocess.postprocess import NetworkDetections


def assert_identical(found: list[NetworkDetections], expected: list[NetworkDetections]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name, value in vars(other).items():
            if value is None:
                assert getattr(one, name) is None
            else:
                assert getattr(one, name).dtype == value.dtype
                np.testing.assert_array_equal(getattr(one, name), value)


def black_and_white(pattern: str) -> Image:
    """`b` is a black image, where the scripted engine finds nothing, `w` a white one with all of its 4 detections."""
    return np.stack([np.full((IMAGE_SIZE, IMAGE_SIZE, 3), 255 * (letter == "w"), np.uint8) for letter in pattern])
