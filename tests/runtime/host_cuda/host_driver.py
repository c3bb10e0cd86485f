"""The tests' view of the host driver: its counters and settings, and plain calls beside the runtime's."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.cuda.device import Device, DeviceMemory

LIBRARY = ctypes.CDLL("libcuda.so.1")
LIBRARY.host_cuda_count.restype = ctypes.c_long

LIVE = ("device_memory", "pinned_memory", "contexts", "streams", "events", "graphs", "execs")
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def count(name: str) -> int:
    """One of the counters in libcuda.c."""
    return int(LIBRARY.host_cuda_count(name.encode()))


def configure(name: str, value: int) -> None:
    """Set a counter or setting of libcuda.c."""
    LIBRARY.host_cuda_set(name.encode(), ctypes.c_long(value))


def fail_next(function: str, code: int) -> None:
    """Let the next call of a function of the driver return this code."""
    LIBRARY.host_cuda_fail(function.encode(), code)


def call(function: str, *arguments: Any) -> None:
    """Call the driver past cuda-bindings; the context must be current."""
    code = getattr(LIBRARY, function)(*arguments)
    assert code == 0, (function, code)


def current_context() -> int | None:
    context = ctypes.c_void_p()
    call("cuCtxGetCurrent", ctypes.byref(context))
    return context.value


@contextmanager
def counted(name: str) -> Iterator[list[int]]:
    """What a counter grew by, in a list when the block has ended."""
    before, grown = count(name), []
    yield grown
    grown.append(count(name) - before)


def one_copy(*sizes: int) -> int:
    """Bytes of arrays that lie one after the other, each from a multiple of 256 on."""
    return sum(size + -size % 256 for size in sizes[:-1]) + sizes[-1]


class ForeignArray:
    """Memory of the GPU as another library would show it; `interface` overrides what it says of itself."""

    def __init__(self, device: Device, contents: NDArray[Any], **interface: Any) -> None:
        self._device, self._memory, self._like = device, DeviceMemory(device, contents.nbytes), contents
        self.address = self._memory.address
        self.write(contents)
        self.__cuda_array_interface__ = {
            "shape": contents.shape,
            "typestr": contents.dtype.str,
            "data": (self.address, False),
            "version": 2,
        } | interface

    def write(self, contents: NDArray[Any]) -> None:
        """Put this there now."""
        values = np.ascontiguousarray(contents)
        with self._device.current():
            addresses = map(ctypes.c_void_p, (self.address, values.ctypes.data))
            call("cuMemcpyHtoD", *addresses, ctypes.c_size_t(values.nbytes))

    def read(self) -> NDArray[Any]:
        """What is there now. Nothing that is pending on a non-blocking stream is waited for."""
        return as_array(self.address, self._like.shape, self._like.dtype)


def as_array(address: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """A copy of memory, which here is all the host's."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(ctypes.string_at(address, size), dtype).reshape(shape)
