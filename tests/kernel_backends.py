"""Where a test runs the kernels: this CPU, or the GPU of this machine. Both watch for accesses beyond the arrays."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from yolact.runtime.cuda_device import Device, DeviceMemory, Stream
from yolact.runtime.cuda_kernels import KernelLibrary

ALIGNMENT = 16  # of the arrays' ends: what vector loads need of their starts where sizes are multiples of it
RUBBISH = 0xCD
MARGIN = 256


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


class _DeviceBuffer:
    def __init__(self, backend: GpuBackend, size: int) -> None:
        self._backend, self._size = backend, size
        self._memory = DeviceMemory(backend.device, size + 2 * MARGIN)
        self.address = self._memory.address + MARGIN
        self._copy(np.full(size + 2 * MARGIN, RUBBISH, np.uint8), self._memory.address)

    def _copy(self, array: NDArray[np.generic], address: int) -> None:
        if array.nbytes:
            self._backend.cuda_stream.upload(address, array)
            self._backend.cuda_stream.synchronise()

    def fill(self, array: NDArray[np.generic]) -> None:
        self._copy(np.ascontiguousarray(array), self.address)

    def read(self, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
        everything = np.empty(self._size + 2 * MARGIN, np.uint8)
        self._backend.cuda_stream.download(everything, self._memory.address)
        self._backend.cuda_stream.synchronise()
        assert (everything[:MARGIN] == RUBBISH).all(), "written before the array"
        assert (everything[-MARGIN:] == RUBBISH).all(), "written behind the array"
        return everything[MARGIN:-MARGIN].view(dtype).reshape(shape)


class GpuBackend:
    """The kernels built by `yolact-build-plugins`, on the first GPU. Raises EngineError or YolactError without."""

    def __init__(self) -> None:
        self.device = Device.open()
        self.library = KernelLibrary()
        self.cuda_stream = Stream.create(self.device)
        self.stream = self.cuda_stream.handle

    def put(self, array: NDArray[np.generic]) -> Buffer:
        buffer = _DeviceBuffer(self, array.nbytes)
        buffer.fill(array)
        return buffer

    def scratch(self, size: int) -> Buffer:
        return _DeviceBuffer(self, size)

    def schedule(self, seed: int) -> None:
        """A GPU orders threads as it likes."""
