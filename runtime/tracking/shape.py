"""A mask inside its region, moved and compared without an image around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from yolact.runtime.images.arrays import BoolArray, FloatArray
from yolact.runtime.images.geometry import Region


class Shape(NamedTuple):
    """A mask whose region may reach out of the image.

    Attributes:
        region: in pixels of the image.
        mask: (h, w) bool inside it.
        area: pixels that are set.
    """

    region: Region
    mask: BoolArray
    area: int

    @classmethod
    def of(cls, region: Region, mask: BoolArray) -> Shape:
        """The shape of a mask (h, w) bool inside its region."""
        return cls(region, mask, int(np.count_nonzero(mask)))

    def moved(self, right: float, down: float) -> Shape:
        """The same shape elsewhere, by whole pixels."""
        x, y = round(right), round(down)
        top, left, bottom, right_edge = (
            self.region.top + y,
            self.region.left + x,
            self.region.bottom + y,
            self.region.right + x,
        )
        return Shape(Region(top, left, bottom, right_edge), self.mask, self.area)

    def shared(self, other: Shape) -> int:
        """Pixels that both have."""
        a, b = self.region, other.region
        top, left = max(a.top, b.top), max(a.left, b.left)
        bottom, right = min(a.bottom, b.bottom), min(a.right, b.right)
        if top >= bottom or left >= right:
            return 0
        mine = self.mask[top - a.top : bottom - a.top, left - a.left : right - a.left]
        others = other.mask[top - b.top : bottom - b.top, left - b.left : right - b.left]
        return int(np.count_nonzero(mine & others))


def mask_ious(first: Sequence[Shape], second: Sequence[Shape]) -> FloatArray:
    """(F, S) float32 intersection over union of each two, 0 where both are empty."""
    shared = np.array([[a.shared(b) for b in second] for a in first], np.float32).reshape(len(first), len(second))
    areas = np.array([a.area for a in first], np.float32)[:, None], np.array([b.area for b in second], np.float32)
    ious: FloatArray = shared / np.maximum(areas[0] + areas[1] - shared, 1)
    return ious
