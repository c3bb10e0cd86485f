"""Masks on the GPU to bits at image resolution on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yolact.runtime.cuda.device import Device, Stream
from yolact.runtime.cuda.mirrored_memory import MirroredMemory
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.packed_masks import PackedMask
from yolact.runtime.tensorrt.mask_kernels import MaskKernels, WantedMasks


class MaskDownload:
    """Makes bits of the masks of a batch, and fetches all in one copy."""

    def __init__(self, device: Device, masks: MaskKernels) -> None:
        self._masks = masks
        self._bits = MirroredMemory(device)

    def enqueue(self, wanted: Sequence[WantedMasks], stream: Stream) -> int:
        """Put all of it on a stream; none of an earlier call may be pending.

        Returns the number of bytes that come back; where it is 0, nothing was put on the stream.
        Raises EngineError where memory does not suffice.
        """
        starts = np.cumsum([0, *(one.sizes.sum() for one in wanted)]).tolist()
        total: int = starts[-1]
        if total:
            self._bits.reserve(total)
            self._masks.enqueue(wanted, [self._bits.address + start for start in starts[:-1]], stream)
            self._bits.download(total, stream)
        return total

    def collect(self, wanted: Sequence[WantedMasks], total: int) -> list[tuple[PackedMask, ...]]:
        """The masks of each image in the order of its rows, when the stream has come to the end of `enqueue`'s work."""
        bits, start, found = self._bits.host[:total].copy(), 0, []
        for one in wanted:
            masks = []
            for region, size in zip(map(Region, *one.regions.T.tolist()), one.sizes.tolist(), strict=True):
                height, width = region.shape
                masks.append(PackedMask(region, bits[start : start + size].reshape(height, (width + 7) // 8)))
                start += size
            found.append(tuple(masks))
        return found

    def close(self) -> None:
        """Free the memory, on which no work may be pending."""
        self._bits.close()
