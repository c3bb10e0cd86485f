"""Memory of the GPU with as much page-locked memory of the host, which grows with its contents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.cuda.device import Device, DeviceMemory, PinnedMemory, Stream

_LEAST = 1 << 12


class MirroredMemory:
    """As many bytes on the GPU as in page-locked memory of the host, and the copies between them.

    Attributes:
        address: on the GPU, aligned to 256 bytes.
        host: (size,) uint8, the host's bytes; what uses this array must end before the memory grows or is closed.
    """

    def __init__(self, device: Device) -> None:
        """`device`: the GPU of the memory, which `reserve` allocates."""
        self._device = device
        self._held: list[DeviceMemory | PinnedMemory] = []
        self.address = 0
        self.host: NDArray[np.uint8] = np.empty(0, np.uint8)

    def has(self, size: int) -> bool:
        """Whether there are at least `size` bytes, so that `reserve` leaves them as they are."""
        return size <= len(self.host)

    def reserve(self, size: int) -> None:
        """Make the memory at least `size` bytes long. Its contents are lost where it has to grow.

        No work on the memory may be pending. Raises EngineError where so much cannot be allocated; there is none then.
        """
        if self.has(size):
            return
        if len(self.host):
            size += size // 4  # so that sizes which grow slowly seldom allocate
        size = max(size, _LEAST)
        self.close()
        try:
            memory = DeviceMemory(self._device, size)
            self._held.append(memory)
            pinned = PinnedMemory(self._device, size)
            self._held.append(pinned)
        except BaseException:
            self.close()
            raise
        self.address, self.host = memory.address, pinned.as_array((size,), np.uint8)

    def upload(self, size: int, stream: Stream) -> None:
        """Put the copy of the first `size` bytes to the GPU on a stream."""
        stream.upload(self.address, self.host[:size])

    def download(self, size: int, stream: Stream) -> None:
        """Put the copy of the first `size` bytes from the GPU on a stream."""
        stream.download(self.host[:size], self.address)

    def close(self) -> None:
        """Free the memory, on which no work may be pending. Calling it again does nothing."""
        self.address, self.host = 0, np.empty(0, np.uint8)
        while self._held:
            self._held.pop().close()
