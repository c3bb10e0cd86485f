"""Whether two written videos show the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yolact.runtime.video.reader import VideoReader


def assert_same_film(path: Path, other: Path) -> None:
    """The same frames at the same times, within what an encoder with threads makes of the same frames another time."""
    with VideoReader(path, path.name) as first, VideoReader(other, other.name) as second:
        for one, same in zip(first, second, strict=True):
            assert one.time == same.time
            difference = np.abs(one.image.astype(np.int16) - same.image)
            assert one.image.shape == same.image.shape and difference.mean() < 1
