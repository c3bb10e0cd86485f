"""Images of any size from the host to the network's input on the GPU, stretched there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from yolact.runtime.cuda.arrays import ALIGNMENT
from yolact.runtime.cuda.device import Device, Stream
from yolact.runtime.cuda.kernels import DeviceImage, KernelLibrary
from yolact.runtime.cuda.mirrored_memory import MirroredMemory
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor

_MOST_BYTES = 48_000_000
"""Most bytes of one image on the GPU, 16 megapixels, so that no side is beyond the kernel's limit. A larger image is
stretched on the CPU, so that a panorama does not hold much memory for good."""


class ImageUpload:
    """Brings batches to the network's input: one copy for all images, then a kernel for each."""

    def __init__(self, device: Device, kernels: KernelLibrary, size: int, before_replacing: Callable[[], None]) -> None:
        """`size`: side S of the network's input, pixels. `before_replacing` is called where memory that `enqueue` has
        used is about to give way to more of it."""
        self._kernels, self._size = kernels, size
        self._preprocess = Preprocessor(size)
        self._memory = MirroredMemory(device)
        self._before_replacing = before_replacing

    def stage(self, images: Sequence[Image]) -> tuple[DeviceImage, ...]:
        """Copy images (H, W, 3) uint8 BGR, in any layout, to pinned memory; none of an earlier batch may be pending.

        Returns where each will lie on the GPU. Raises EngineError where memory does not suffice.
        """
        small = [image if image.nbytes <= _MOST_BYTES else self._preprocess([image])[0] for image in images]
        starts = np.cumsum([0, *(-(-image.nbytes // ALIGNMENT) * ALIGNMENT for image in small)]).tolist()
        if not self._memory.has(starts[-1]):
            self._before_replacing()
            self._memory.reserve(starts[-1])
        places = []
        for image, start in zip(small, starts[:-1], strict=True):
            np.copyto(self._memory.host[start : start + image.nbytes].reshape(image.shape), image)
            height, width = image.shape[:2]
            places.append(DeviceImage(self._memory.address + start, height, width, 3 * width))
        return tuple(places)

    def enqueue(self, places: Sequence[DeviceImage], output: int, stream: Stream) -> None:
        """Put the copy of the staged images and their stretching to (N, S, S, 3) uint8 at `output` on a stream."""
        last = places[-1]
        self._memory.upload(last.data + last.height * last.row_stride - self._memory.address, stream)
        for index, image in enumerate(places):
            self._kernels.resize_pack(image, self._size, output + index * self._size**2 * 3, stream.handle)

    def close(self) -> None:
        """Free the memory, on which no work may be pending."""
        self._memory.close()
