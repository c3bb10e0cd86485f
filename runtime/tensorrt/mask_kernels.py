"""Masks on the GPU to bits at image resolution, which stay there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.cuda.arrays import DeviceArray
from yolact.runtime.cuda.device import Device, Stream
from yolact.runtime.cuda.kernels import KernelLibrary, MasksToImageParams, MasksToImageTensors
from yolact.runtime.cuda.mirrored_memory import MirroredMemory

_PLACE_BYTES = 16 + 8
"""Bytes of one mask's place: its region, four int32, and the offset of its bits, int64."""


@dataclass(frozen=True)
class WantedMasks:
    """The masks that are wanted of one image.

    Attributes:
        image_size: (height, width) of the image, pixels.
        masks: all of the image's, (D, Hp, Wp) float32.
        rows: (n,) which of them.
        regions: (n, 4) int32 top, left, bottom, right of each, inside the image.
    """

    image_size: tuple[int, int]
    masks: DeviceArray
    rows: NDArray[np.intp]
    regions: NDArray[np.int32]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) bytes of each mask's bits."""
        top, left, bottom, right = self.regions.T.astype(np.int64)
        sizes: NDArray[np.int64] = (bottom - top) * ((right - left + 7) // 8)
        return sizes

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """(n,) where each mask's bits begin among those of the image."""
        offsets: NDArray[np.int64] = self.sizes.cumsum() - self.sizes
        return offsets

    def first(self, count: int) -> WantedMasks:
        """The first `count` of these masks."""
        return replace(self, rows=self.rows[:count], regions=self.regions[:count])

    @cached_property
    def launched(self) -> int:
        """The number of masks from the first on that the kernel looks at: all that it must and few more."""
        return int(self.rows.max(initial=-1)) + 1 if self.sizes.any() else 0


class MaskKernels:
    """Makes bits of masks: a copy of their places to the GPU, and a kernel for each image."""

    def __init__(self, device: Device, kernels: KernelLibrary) -> None:
        self._kernels = kernels
        self._places = MirroredMemory(device)

    def enqueue(self, wanted: Sequence[WantedMasks], bits: Sequence[int], stream: Stream) -> None:
        """Put all of it on a stream; none of an earlier call may be pending. Raises EngineError where memory does not
        suffice.

        `bits`: for each image the address where its bits go.
        """
        count = sum(one.launched for one in wanted)
        if not count:
            return
        self._places.reserve(count * _PLACE_BYTES)
        self._write_places(wanted, count)
        self._places.upload(count * _PLACE_BYTES, stream)
        first = 0
        for one, address in zip(wanted, bits, strict=True):
            if one.launched:
                _, height, width = one.masks.shape
                params = MasksToImageParams(one.launched, height, width, *one.image_size, int(one.sizes.sum()))
                regions, offsets = self._places.address + 16 * first, self._places.address + 16 * count + 8 * first
                tensors = MasksToImageTensors(one.masks.address, regions, offsets, address)
                self._kernels.masks_to_image(params, tensors, stream.handle)
                first += one.launched

    def _write_places(self, wanted: Sequence[WantedMasks], count: int) -> None:
        """All regions, then all offsets; the regions of masks between wanted ones are empty."""
        regions = self._places.host[: 16 * count].view(np.int32).reshape(count, 4)
        offsets = self._places.host[16 * count : _PLACE_BYTES * count].view(np.int64)
        regions[:], offsets[:] = 0, 0
        first = 0
        for one in wanted:
            if one.launched:
                regions[first + one.rows], offsets[first + one.rows] = one.regions, one.offsets
                first += one.launched

    def close(self) -> None:
        """Free the memory, on which no work may be pending."""
        self._places.close()
