"""Memory, streams, events and graphs of an NVIDIA GPU, through the CUDA driver: the one module that owns them.

Everything lives in the GPU's primary context, the one that PyTorch, ONNX Runtime, CuPy and `pycuda.autoprimaryctx` use
as well, so that pointers and streams can be exchanged with them as they are. Functions that put work on a stream must
be called inside `with device.current()`; all others do this themselves. Failures raise EngineError.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from yolact.runtime.cuda.driver import Driver, DriverError
from yolact.runtime.errors import EngineError

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: no implicit order with the legacy default stream, which a capture would not survive."""
RELAXED = 2
"""CU_STREAM_CAPTURE_MODE_RELAXED: Python may collect garbage, and so free GPU memory, at any moment of a capture."""
WITHOUT_TIMING = 2
"""CU_EVENT_DISABLE_TIMING: the cheaper kind of event, enough to put streams in order."""

WITH_TIMING = 0
"""CU_EVENT_DEFAULT: an event that remembers when it came."""
EXTERNAL = 1
"""CU_EVENT_RECORD_EXTERNAL and CU_EVENT_WAIT_EXTERNAL: a node of the graph that is being recorded, whose event others
outside of the graph know; outside of a recording it is not allowed."""


class Device:
    """One GPU and its primary context, retained until `close` or until nothing refers to it any more.

    Attributes:
        index: which GPU, as CUDA counts them.
        call: the driver's functions, checked.
        name: NVIDIA's name of the GPU.
        compute_capability: (major, minor).
    """

    def __init__(self, driver: Driver, index: int) -> None:
        """Use `Device.open`."""
        self.index = index
        self.call = driver
        self._resources: weakref.WeakSet[_Resource] = weakref.WeakSet()
        handle = device_handle(driver, index)
        self.name = device_name(driver, handle)
        self.compute_capability = compute_capability(driver, handle)
        self.context: Any = driver("cuDevicePrimaryCtxRetain", handle)
        self._finalizer = weakref.finalize(self, driver.quietly, "cuDevicePrimaryCtxRelease", handle)

    def __str__(self) -> str:
        return f"cuda:{self.index}"

    @classmethod
    def open(cls, index: int = 0) -> Device:
        """The GPU with this index.

        Raises EngineError where cuda-bindings, the driver, or such a GPU is missing.
        """
        return cls(Driver(), index)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the primary context this thread's current one, and afterwards again the one that was."""
        if not self._finalizer.alive:
            raise EngineError(f"GPU {self.index} was closed; open it again")
        self.call("cuCtxPushCurrent", self.context)
        try:
            yield
        finally:
            self.call("cuCtxPopCurrent")

    @property
    def driver_version(self) -> tuple[int, int]:
        """The newest CUDA that the driver supports, (major, minor)."""
        return self.call.version

    def memory_info(self) -> tuple[int, int]:
        """Free and total memory of the GPU, bytes."""
        with self.current():
            free, total = self.call("cuMemGetInfo")
        return free, total

    def close(self) -> None:
        """Free all that was made here and release the context. Calling it again does nothing."""
        for resource in list(self._resources):
            resource.close()
        self._finalizer()


def device_handle(driver: Driver, index: int) -> Any:
    """The driver's name for a GPU. Raises EngineError where there is no such GPU."""
    count = driver("cuDeviceGetCount")
    if not 0 <= index < count:
        gpus = "1 GPU, number 0" if count == 1 else f"{count} GPUs, numbered from 0"
        raise EngineError(f"there is no GPU {index}: CUDA sees {gpus} (CUDA_VISIBLE_DEVICES can hide some)")
    return driver("cuDeviceGet", index)


def device_name(driver: Driver, handle: Any) -> str:
    """NVIDIA's name of a GPU."""
    name: bytes = driver("cuDeviceGetName", 256, handle)
    return name.split(b"\0")[0].decode()


def compute_capability(driver: Driver, handle: Any) -> tuple[int, int]:
    """(major, minor) of a GPU's architecture."""
    attribute = driver.bindings.CUdevice_attribute
    return (
        driver("cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle),
        driver("cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle),
    )


class _Resource:
    """Something that is released once: by `close`, by the garbage collector, or when the interpreter ends.

    Attributes:
        device: kept alive, so that the context outlives what was made in it.
        handle: the driver's name for it; an address for memory.
    """

    def __init__(self, device: Device, release: str, create: str, *arguments: Any) -> None:
        self.device = device
        with device.current():
            self.handle: Any = device.call(create, *arguments)
        self._finalizer = weakref.finalize(self, _release, device, release, self.handle)
        device._resources.add(self)

    def close(self) -> None:
        """Release it. Calling it again does nothing."""
        self._finalizer()


def _release(device: Device, function: str, handle: Any) -> None:
    with suppress(DriverError), device.current():
        device.call.quietly(function, handle)


class DeviceMemory(_Resource):
    """Memory of the GPU. `address` is aligned to at least 256 bytes, its contents are undefined at first."""

    def __init__(self, device: Device, size: int) -> None:
        """`size`: bytes. Raises EngineError where so much cannot be allocated."""
        try:
            super().__init__(device, "cuMemFree", "cuMemAlloc", max(size, 1))
        except DriverError as error:
            raise _shortage(error, size, f"memory of GPU {device.index}") from error
        self.address, self.size = int(self.handle), size


class PinnedMemory(_Resource):
    """Page-locked memory of the host, which asynchronous copies need, for NumPy through the array interface."""

    def __init__(self, device: Device, size: int) -> None:
        """`size`: bytes. Raises EngineError where so much cannot be allocated."""
        try:
            super().__init__(device, "cuMemFreeHost", "cuMemHostAlloc", max(size, 1), 0)
        except DriverError as error:
            raise _shortage(error, size, "page-locked memory of the host") from error
        self.__array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (int(self.handle), False), "version": 3}

    def as_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array over this memory, valid until `close` is called; nothing else frees memory that an array uses."""
        return np.asarray(self).view(dtype).reshape(shape)


def _shortage(error: DriverError, size: int, what: str) -> EngineError:
    if error.code != "CUDA_ERROR_OUT_OF_MEMORY":
        return error
    return EngineError(f"{size} bytes of {what} cannot be allocated; free some, or use smaller batches")


class Stream:
    """A CUDA stream, on which work runs in order: one of ours, or a caller's, which is kept alive as long as this.

    Attributes:
        handle: the address that CUDA libraries take.
    """

    def __init__(self, device: Device, handle: int, owner: object) -> None:
        """Use `Stream.create`, or `arrays.as_stream` for a caller's."""
        self._device = device
        self.handle = handle
        self._owner = owner

    @classmethod
    def create(cls, device: Device) -> Stream:
        """A new stream, without implicit order with the default ones."""
        resource = _Resource(device, "cuStreamDestroy", "cuStreamCreate", NON_BLOCKING)
        return cls(device, int(resource.handle), resource)

    def close(self) -> None:
        """Destroy a stream of ours. A caller's is left to the caller."""
        if isinstance(self._owner, _Resource):
            self._owner.close()

    def synchronise(self) -> None:
        """Block until all work put here is done. Raises EngineError where any of it failed."""
        with self._device.current():
            self._device.call("cuStreamSynchronize", self.handle)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a C-contiguous array in pinned memory to the GPU; the array must stay as it is until that is done."""
        self._device.call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, self.handle)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Copy memory of the GPU into a C-contiguous array in pinned memory."""
        self._device.call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, self.handle)

    def wait(self, event: Event) -> None:
        """Let work put here from now on start only when the event, as last recorded, has come.

        Where the stream is being recorded, every launch of the graph waits for the event as last recorded then.
        """
        self._device.call("cuStreamWaitEvent", self.handle, event.handle, EXTERNAL if self.is_recording else 0)

    @property
    def is_recording(self) -> bool:
        """Whether what is put here becomes part of a CUDA graph instead of running."""
        return bool(int(self._device.call("cuStreamIsCapturing", self.handle)))


class Event(_Resource):
    """A point in a stream that another stream, or the host, can wait for."""

    _flags = WITHOUT_TIMING

    def __init__(self, device: Device) -> None:
        super().__init__(device, "cuEventDestroy", "cuEventCreate", self._flags)

    def record(self, stream: Stream) -> None:
        """Let the event come when the work put on the stream so far is done; in a graph, at each of its launches."""
        self.device.call("cuEventRecordWithFlags", self.handle, stream.handle, EXTERNAL if stream.is_recording else 0)

    def synchronise(self) -> None:
        """Block until the event, as last recorded, has come; at once where it was never recorded."""
        with self.device.current():
            self.device.call("cuEventSynchronize", self.handle)


class TimingEvent(Event):
    """An event that remembers when it came."""

    _flags = WITH_TIMING

    def milliseconds_since(self, earlier: TimingEvent) -> float:
        """Time between two events that have come, in steps of about half a microsecond."""
        with self.device.current():
            return float(self.device.call("cuEventElapsedTime", earlier.handle, self.handle))


class Graph(_Resource):
    """Work recorded once that runs again and again with a single call, on the very same memory."""

    def __init__(self, device: Device, stream: Stream, work: Callable[[], None]) -> None:
        """Record what `work` puts on the stream, without running it.

        Raises what `work` raises, or EngineError where something in it cannot be recorded. The stream is usable again
        in either case.
        """
        mode = device.call.bindings.CUstreamCaptureMode(RELAXED)
        device.call("cuStreamBeginCapture", stream.handle, mode)
        try:
            work()
        except BaseException:
            code, recorded = device.call.bindings.cuStreamEndCapture(stream.handle)
            if not int(code):
                device.call.quietly("cuGraphDestroy", recorded)
            raise
        recorded = device.call("cuStreamEndCapture", stream.handle)
        try:
            super().__init__(device, "cuGraphExecDestroy", "cuGraphInstantiate", recorded, 0)
        finally:
            device.call.quietly("cuGraphDestroy", recorded)

    def launch(self, stream: Stream) -> None:
        """Put the recorded work on a stream."""
        self.device.call("cuGraphLaunch", self.handle, stream.handle)
