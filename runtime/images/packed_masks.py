"""Masks as bits inside their regions, as `plugins/masks_to_image` makes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import BoolArray
from yolact.runtime.images.geometry import Region


class PackedMask(NamedTuple):
    """One mask at image resolution.

    Attributes:
        region: part of the image outside which no pixel is set.
        bits: (h, (w + 7) // 8) uint8 for a region of h x w pixels, as `numpy.packbits(mask, axis=1)` gives them.
    """

    region: Region
    bits: NDArray[np.uint8]

    @classmethod
    def pack(cls, region: Region, mask: BoolArray) -> PackedMask:
        """The packed form of a mask (h, w) bool inside its region."""
        return cls(region, np.packbits(mask, axis=1))

    def unpack(self) -> BoolArray:
        """The mask (h, w) bool inside its region."""
        return np.unpackbits(self.bits, axis=1, count=self.region.shape[1]).view(np.bool_)
