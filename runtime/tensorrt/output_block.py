"""The outputs that come back to the host, in one piece of memory, so that one copy fetches them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.contract import TensorSpec
from yolact.runtime.cuda.arrays import ALIGNMENT, DeviceArray
from yolact.runtime.cuda.device import Device, Stream
from yolact.runtime.cuda.mirrored_memory import MirroredMemory


class OutputBlock:
    """Outputs of a batch one after the other. Where each begins depends on the batch size."""

    def __init__(self, device: Device, specs: Mapping[str, TensorSpec], max_batch: int) -> None:
        """`specs`: of the outputs by name, without batch. The memory is made when it is first needed."""
        self._specs, self._max_batch = specs, max_batch
        self._memory = MirroredMemory(device)

    def on_device(self, count: int) -> dict[str, DeviceArray]:
        """The outputs' arrays (count, ...) on the GPU by name. Raises EngineError where memory does not suffice."""
        *_, (_, _, most) = self._places(self._max_batch)
        self._memory.reserve(most)
        return {
            name: DeviceArray(
                (count, *self._specs[name].shape), self._specs[name].dtype, self._memory.address + start, self._memory
            )
            for name, start, _ in self._places(count)
        }

    def on_host(self, count: int) -> dict[str, NDArray[Any]]:
        """The same arrays in pinned memory, after `on_device`; they hold the values downloaded last."""
        return {
            name: self._memory.host[start:stop].view(self._specs[name].dtype).reshape(count, *self._specs[name].shape)
            for name, start, stop in self._places(count)
        }

    def download(self, count: int, stream: Stream) -> None:
        """Put the copy of all of them from the GPU on a stream."""
        *_, (_, _, stop) = self._places(count)
        self._memory.download(stop, stream)

    def _places(self, count: int) -> Iterator[tuple[str, int, int]]:
        """Name, first byte and end of each output."""
        start = 0
        for name, spec in self._specs.items():
            stop = start + count * math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
            yield name, start, stop
            start = -(-stop // ALIGNMENT) * ALIGNMENT

    def close(self) -> None:
        """Free the memory, on which no work may be pending."""
        self._memory.close()
