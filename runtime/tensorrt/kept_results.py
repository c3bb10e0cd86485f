"""Copies detections into GPU memory that is the caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.cuda.arrays import ALIGNMENT, DeviceArray
from yolact.runtime.cuda.device import Device, DeviceMemory, Stream
from yolact.runtime.cuda.device_detections import DeviceDetections
from yolact.runtime.cuda.mirrored_memory import MirroredMemory
from yolact.runtime.tensorrt.mask_kernels import MaskKernels, WantedMasks


class KeptResults:
    """Copies the host's arrays to new memory of the GPU, beside which the masks are made."""

    def __init__(self, device: Device, masks: MaskKernels) -> None:
        self._device, self._masks = device, masks
        self._staging = MirroredMemory(device)

    def enqueue(
        self, wanted: Sequence[WantedMasks], known: Sequence[Mapping[str, NDArray[Any]]], stream: Stream
    ) -> list[DeviceDetections]:
        """Put all of it on a stream; none of an earlier call may be pending. The results hold when the stream has come
        to its end.

        Args:
            wanted: masks of each image.
            known: the other arrays of each image by their names in DeviceDetections, of the same detections.
            stream: of the context.

        Raises:
            EngineError: memory does not suffice.
        """
        arrays = [
            {**others, "regions": one.regions, "offsets": one.offsets}
            for one, others in zip(wanted, known, strict=True)
        ]
        sizes = [sum(_room(array.nbytes) for array in of_image.values()) for of_image in arrays]
        self._staging.reserve(sum(sizes))
        found, first = [], 0
        for one, of_image, size in zip(wanted, arrays, sizes, strict=True):
            bits = int(one.sizes.sum())
            memory = DeviceMemory(self._device, size + bits)
            places: dict[str, DeviceArray | None] = {"mask_scores": None}
            places["bits"] = DeviceArray((bits,), np.dtype(np.uint8), memory.address + size, memory)
            start = 0
            for name, array in of_image.items():
                staged = self._staging.host[first + start : first + start + array.nbytes]
                staged.view(array.dtype).reshape(array.shape)[...] = array
                places[name] = DeviceArray(array.shape, array.dtype, memory.address + start, memory)
                start += _room(array.nbytes)
            if size:
                stream.upload(memory.address, self._staging.host[first : first + size])
            first += size
            found.append(DeviceDetections(image_size=one.image_size, **places))  # type: ignore[arg-type]
        self._masks.enqueue(wanted, [one.bits.address for one in found], stream)
        return found

    def close(self) -> None:
        """Free the staging memory, on which no work may be pending."""
        self._staging.close()


def _room(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
