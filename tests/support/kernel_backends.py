"""Where a test runs the kernels: this CPU, or the GPU of this machine.

The CPU stops at any access beyond an array, the GPU's arrays have margins that show what was written there. Without
margins (`MARGIN_VARIABLE`) compute-sanitizer sees the ends of the arrays, and so what is read beyond them as well.
The GPU's part is not yet run on one; against a driver without a GPU it does what is said here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from yolact.runtime.cuda.device import Device, DeviceMemory, PinnedMemory, Stream
from yolact.runtime.cuda.kernels import LIBRARY, KernelLibrary

ALIGNMENT = 16  # of the arrays' ends: what vector loads need of their starts where sizes are multiples of it
RUBBISH = 0xCD
MARGIN = 256
MARGIN_VARIABLE = "YOLACT_TEST_GPU_MARGIN"
"""Of the environment: bytes around each array on a GPU, a multiple of 256; else MARGIN."""


class Buffer(Protocol):
    """Memory of one array."""

    address: int

    def read(self, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Wait and copy out. Fails if anything beside the array was written."""


class Backend(Protocol):
    """The kernels, and memory for them."""

    library: KernelLibrary
    stream: int

    def put(self, array: NDArray[np.generic]) -> Buffer:
        """Memory with this array in it."""

    def scratch(self, size: int) -> Buffer:
        """Memory of rubbish, aligned to 256 bytes."""


class _GuardedBuffer:
    """Ends where the process has no memory any more, so that what reads or writes beyond crashes."""

    def __init__(self, size: int, alignment: int) -> None:
        page = mmap.PAGESIZE
        self._room = -(-size // alignment) * alignment
        pages = -(-(self._room + MARGIN) // page) * page
        self._memory = mmap.mmap(-1, pages + page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + pages), ctypes.c_size_t(page), 0) != 0:
            raise OSError("mprotect failed")
        self._bytes = np.frombuffer(self._memory, np.uint8, pages)
        self._bytes[:] = RUBBISH
        self._start, self._size = pages - self._room, size
        self.address = start + self._start

    def fill(self, array: NDArray[np.generic]) -> None:
        self._bytes[self._start : self._start + self._size] = np.frombuffer(array.tobytes(), np.uint8)

    def read(self, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
        stop = self._start + self._size
        assert (self._bytes[: self._start] == RUBBISH).all(), "written before the array"
        assert (self._bytes[stop:] == RUBBISH).all(), "written behind the array"
        return self._bytes[self._start : stop].view(dtype).reshape(shape).copy()


class HostBackend:
    """The kernels built for the CPU by `host_kernel_build`."""

    stream = 0

    def __init__(self, library: Path) -> None:
        self.library = KernelLibrary(library)
        self.schedule: Callable[[int], None] = ctypes.CDLL(str(library)).host_cuda_schedule
        """Order of threads and blocks: 0 ascending, 1 descending, else a seed for shuffling."""

    def put(self, array: NDArray[np.generic]) -> Buffer:
        buffer = _GuardedBuffer(array.nbytes, min(ALIGNMENT, array.itemsize if array.nbytes % ALIGNMENT else ALIGNMENT))
        buffer.fill(array)
        return buffer

    def scratch(self, size: int) -> Buffer:
        return _GuardedBuffer(size, 256)


class DeviceBuffer:
    """Memory of the GPU with a margin on either side."""

    def __init__(self, backend: GpuBackend, size: int) -> None:
        self._backend, self._size = backend, size
        self._margin = int(os.environ.get(MARGIN_VARIABLE, MARGIN))
        self._memory = DeviceMemory(backend.device, size + 2 * self._margin)
        self.address = self._memory.address + self._margin
        backend.upload(self._memory.address, np.full(size + 2 * self._margin, RUBBISH, np.uint8))

    def fill(self, array: NDArray[np.generic]) -> None:
        """Put an array of this size in, when all work before is done."""
        assert array.nbytes == self._size
        self._backend.upload(self.address, np.frombuffer(array.tobytes(), np.uint8))

    def read(self, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
        everything = self._backend.download(self._memory.address, self._size + 2 * self._margin)
        stop = self._margin + self._size
        assert (everything[: self._margin] == RUBBISH).all(), "written before the array"
        assert (everything[stop:] == RUBBISH).all(), "written behind the array"
        return everything[self._margin : stop].view(dtype).reshape(shape)


@cache
def _device() -> Device:
    """The first GPU, its context current in this thread from now on.

    What puts work on a stream needs a current context, and neither tests nor kernels see to one. It lives as long as
    the process, because the CUDA runtime inside the kernels' library keeps to the context it first met.
    """
    device = Device.open()
    device.call("cuCtxPushCurrent", device.context)
    return device


class GpuBackend:
    """The kernels built by `yolact-build-plugins`, on the first GPU. Raises EngineError or YolactError without."""

    def __init__(self, library: Path = LIBRARY) -> None:
        self.device = _device()
        self.library = KernelLibrary(library)
        self.cuda_stream = Stream.create(self.device)
        self.stream = self.cuda_stream.handle

        self._pinned = self._pin(1 << 20)

    def upload(self, address: int, array: NDArray[np.uint8]) -> None:
        """Copy to the GPU and wait."""
        pinned = self._staging(array.nbytes)
        pinned[:] = array
        if array.nbytes:
            self.cuda_stream.upload(address, pinned)
            self.cuda_stream.synchronise()

    def download(self, address: int, size: int) -> NDArray[np.uint8]:
        """Wait for all work and copy from the GPU."""
        pinned = self._staging(size)
        if size:
            self.cuda_stream.download(pinned, address)
        self.cuda_stream.synchronise()
        return pinned.copy()

    def _staging(self, size: int) -> NDArray[np.uint8]:
        """Page-locked memory, as copies on streams are specified for; the same for all, as each copy is waited for."""
        if size > len(self._pinned):
            self._pinned = self._pin(2 * size)
        return self._pinned[:size]

    def _pin(self, size: int) -> NDArray[np.uint8]:
        return PinnedMemory(self.device, size).as_array((size,), np.uint8)

    def put(self, array: NDArray[np.generic]) -> DeviceBuffer:
        buffer = DeviceBuffer(self, array.nbytes)
        buffer.fill(array)
        return buffer

    def scratch(self, size: int) -> DeviceBuffer:
        return DeviceBuffer(self, size)

    def schedule(self, seed: int) -> None:
        """A GPU orders threads as it likes."""
