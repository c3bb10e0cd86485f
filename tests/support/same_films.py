"""Whether two written videos show the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yolact.runtime.video.reader import VideoReader


def assert_same_film(path: Path, other: Path) -> None:
    """The same frames at the same times. Bytes may differ: those of an encoder with threads are not always the same."""
    with VideoReader(path, path.name) as first, VideoReader(other, other.name) as second:
        for one, same in zip(first, second, strict=True):
            assert one.time == same.time
            np.testing.assert_array_equal(one.image, same.image)
