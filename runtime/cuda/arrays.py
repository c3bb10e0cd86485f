"""Arrays and streams of other libraries, and arrays of ours, exchanged without copies.

Arrays by the CUDA array interface, which PyTorch, CuPy, Numba and pycuda share:
https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html
Ours by DLPack too, as PyTorch does not look at the stream that the interface names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from yolact.runtime.cuda import dlpack
from yolact.runtime.cuda.device import Device, DeviceMemory, Event, Stream
from yolact.runtime.cuda.driver import DriverError
from yolact.runtime.errors import UsageError
from yolact.runtime.wording import one_line

ALIGNMENT = 256
"""Bytes; what TensorRT asks of every address (NvInferRuntime.h, `setTensorAddress`)."""


@dataclass
class DeviceArray:
    """A C-contiguous array in memory of the GPU.

    Attributes:
        shape: sizes, outermost first.
        dtype: of the elements.
        address: of the first element.
        owner: what must stay alive as long as the array is used.
        stream: where the work that writes the array was put; None where nothing is pending.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    address: int
    owner: object
    stream: Stream | None = None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def first(self, count: int, stream: Stream | None = None) -> DeviceArray:
        """The first `count` rows, the same memory, last written on `stream`."""
        return DeviceArray((count, *self.shape[1:]), self.dtype, self.address, self.owner, stream)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address if self.nbytes else 0, False),  # an array without elements has no address
            "strides": None,
            # Handle 0 is ambiguous to the interface, which calls the legacy default stream 1.
            "stream": None if self.stream is None else self.stream.handle or 1,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.DEVICE_TYPE, self._memory().device.index

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule of this memory, as the array API standard has it.

        Args:
            stream: the handle on which the array will be used, which waits for what writes the array; None for the
                legacy default stream, -1 not to wait.
            max_version: the newest DLPack that the caller reads; the capsule is of a version before all of these.
            dl_device: where the array is wanted, which can only be where it is.
            copy: True is refused.

        Raises:
            BufferError: a copy is asked for, or the memory is not this runtime's.
            UsageError: `stream` is none of this GPU.
        """
        memory = self._memory()
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("this array is handed over without a copy; copy it on its GPU")
        if self.stream is not None and stream != -1:
            with memory.device.current():
                reader = as_stream(1 if stream is None else stream, memory.device)
                if reader.handle != self.stream.handle:
                    written = Event(memory.device)
                    written.record(self.stream)
                    reader.wait(written)
                    written.close()  # CUDA keeps it until it has come
        return dlpack.make_capsule(self.address, self.shape, self.dtype, memory.device.index, self.owner)

    def _memory(self) -> DeviceMemory:
        if not isinstance(self.owner, DeviceMemory):
            raise BufferError("this array describes memory of another library; ask that for it")
        return self.owner


def as_device_array(
    array: object, name: str, dtype: np.dtype[Any], shape: tuple[int | None, ...], device: Device, writable: bool
) -> DeviceArray:
    """A caller's array in memory of the GPU, described and checked, not copied.

    Args:
        array: anything with `__cuda_array_interface__`, C-contiguous, in memory of this GPU, aligned to 256 bytes.
        name: its name in errors.
        dtype: the type that its elements must have.
        shape: the shape that it must have; None for any size.
        device: the GPU that it must be on, whose context is current.
        writable: refuse arrays that may only be read.

    Returns:
        The same memory, with the array as owner and the stream that the interface names.

    Raises:
        UsageError: it is no such array.
    """
    expected = f"{dtype.name} of shape ({', '.join('N' if size is None else str(size) for size in shape)})"
    interface = _interface(array, name, expected)
    got_shape, got_dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
    fits = len(got_shape) == len(shape) and all(w in (None, g) for w, g in zip(shape, got_shape, strict=True))
    if got_dtype != dtype or not fits:
        raise UsageError(f"expected {name} to be {expected}, got {got_dtype.name} of shape {got_shape}")
    address, read_only = interface["data"]
    for wrong, reason in (
        (not _contiguous(interface.get("strides"), got_shape, dtype.itemsize), "is not C-contiguous; copy it first"),
        (interface.get("mask") is not None, "has a mask, which means nothing here"),
        (writable and read_only, "may only be read, but results are written to it"),
        (address % ALIGNMENT, f"starts at an address that is no multiple of {ALIGNMENT}; copy it first"),
    ):
        if wrong:
            raise UsageError(f"expected {name} to be {expected}, C-contiguous; the array given {reason}")
    _check_place(address, name, device)
    stream = interface.get("stream")
    return DeviceArray(got_shape, dtype, address, array, None if stream is None else as_stream(stream, device))


def _interface(array: object, name: str, expected: str) -> Mapping[str, Any]:
    try:
        interface: Mapping[str, Any] = array.__cuda_array_interface__  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError, TypeError) as error:  # PyTorch's for a tensor on the CPU, or with a gradient
        reason = f" ({one_line(error)})" if not isinstance(array, np.ndarray) else ", in memory of the host"
        raise UsageError(
            f"expected {name} to be an array in GPU memory with __cuda_array_interface__, {expected}, "
            f"got {type(array).__name__}{reason}"
        ) from error
    return interface


def _contiguous(strides: tuple[int, ...] | None, shape: tuple[int, ...], itemsize: int) -> bool:
    """Whether elements follow each other in memory, last axis fastest; an axis of one element may have any stride."""
    if strides is None:
        return True
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != itemsize:
            return False
        itemsize *= size
    return True


def _check_place(address: int, name: str, device: Device) -> None:
    attribute = device.call.bindings.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    try:
        index = int(device.call("cuPointerGetAttribute", attribute, address))
    except DriverError as error:
        raise UsageError(f"expected {name} to be in memory of GPU {device.index}, got an unknown address") from error
    if index != device.index:
        raise UsageError(f"expected {name} to be in memory of GPU {device.index}, got memory of GPU {index}")


def as_stream(stream: object, device: Device) -> Stream:
    """A caller's stream as a `Stream`: it may be one, a handle, or an object of pycuda, PyTorch, CuPy or with
    `__cuda_stream__`.

    Raises UsageError where it is none, or one of another CUDA context; that of `device` must be current.
    """
    handle = _stream_handle(stream)
    if handle is None:
        raise UsageError(
            "expected a CUDA stream: None, a handle, or an object of pycuda, PyTorch, CuPy or with __cuda_stream__, "
            f"got {stream!r}"
        )
    if handle > 2:  # the three below are default streams, of whichever context is current
        try:
            context = device.call("cuStreamGetCtx", handle)
        except DriverError as error:
            raise UsageError(f"expected a CUDA stream, got {stream!r}: {error}") from error
        if int(context) != int(device.context):
            raise UsageError(
                f"expected a stream of GPU {device.index}'s primary context, got one of another context; "
                "with pycuda, import pycuda.autoprimaryctx instead of pycuda.autoinit"
            )
    return stream if isinstance(stream, Stream) else Stream(device, handle, stream)


def _stream_handle(stream: object) -> int | None:
    if isinstance(stream, bool):
        return None
    if isinstance(stream, int):
        return stream if stream >= 0 else None
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:  # (version, handle); a method, in early drafts a property
        return int((protocol() if callable(protocol) else protocol)[1])
    handles = (getattr(stream, name, None) for name in ("cuda_stream", "ptr", "handle"))
    return next((int(handle) for handle in handles if isinstance(handle, int)), None)
