"""Arrays on the GPU as DLPack capsules. NumPy and PyTorch take them, as memory of the host, which here it is."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from host_cuda.host_driver import as_array, count, counted

from yolact.runtime.cuda import dlpack
from yolact.runtime.cuda.arrays import DeviceArray
from yolact.runtime.cuda.device import Device, DeviceMemory, PinnedMemory, Stream
from yolact.runtime.errors import UsageError

CUDA, CPU = 2, 1
"""kDLCUDA and kDLCPU."""


def array(device: Device, shape: tuple[int, ...], dtype: str = "float32", stream: Stream | None = None) -> DeviceArray:
    kind = np.dtype(dtype)
    memory = DeviceMemory(device, int(np.prod(shape)) * kind.itemsize)
    return DeviceArray(shape, kind, memory.address, memory, stream)


def test_it_is_on_its_gpu() -> None:
    device = Device.open(1)
    one = array(device, (2,))
    assert one.__dlpack_device__() == (CUDA, 1)
    one.__dlpack__(stream=-1, max_version=(1, 0), dl_device=(CUDA, 1), copy=False)
    del one
    device.close()


@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (1, 1), (), (0, 4)])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8"])
def test_consumers_see_the_same_memory(
    device: Device, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dtype: str
) -> None:
    monkeypatch.setattr(dlpack, "DEVICE_TYPE", CPU)
    ours = array(device, shape, dtype)
    for consume in (np.from_dlpack, torch.from_dlpack):
        theirs = consume(ours)
        assert tuple(theirs.shape) == shape and str(theirs.dtype).endswith(dtype)
        if np.prod(shape):
            torch.from_dlpack(ours).fill_(7)
            assert (np.asarray(theirs) == 7).all() and (as_array(ours.address, shape, dtype) == 7).all()


@pytest.mark.parametrize("taken", [True, False])
def test_memory_lives_as_long_as_what_took_it(device: Device, monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    monkeypatch.setattr(dlpack, "DEVICE_TYPE", CPU)
    ours = array(device, (4,))
    kept = torch.from_dlpack(ours) if taken else ours.__dlpack__()
    del ours
    gc.collect()
    assert count("device_memory") == 16 and len(dlpack._exported) == 1
    del kept
    gc.collect()
    assert count("device_memory") == 0 and not dlpack._exported


@pytest.mark.parametrize("asked", ["another", "the same", "none"])
def test_the_readers_stream_waits_for_what_is_pending(device: Device, asked: str) -> None:
    writer, reader = Stream.create(device), Stream.create(device)
    ours = array(device, (8,), "uint8", writer)
    staged = PinnedMemory(device, 8)
    staged.as_array((8,), np.uint8)[:] = 9
    with device.current():
        writer.upload(ours.address, staged.as_array((8,), np.uint8))
    with counted("created") as created:
        ours.__dlpack__(stream={"another": reader.handle, "the same": writer.handle, "none": -1}[asked])
    reader.synchronise()
    assert (as_array(ours.address, (8,), np.uint8) == 9).all() == (asked == "another")
    assert created == [asked == "another"]  # an event
    writer.synchronise()
    for resource in (staged, writer, reader):
        resource.close()


def test_what_is_refused(device: Device) -> None:
    ours = array(device, (8,))
    for options in ({"copy": True}, {"dl_device": (1, 0)}, {"dl_device": (CUDA, 1)}):
        with pytest.raises(BufferError, match="handed over without a copy"):
            ours.__dlpack__(**options)  # type: ignore[arg-type]
    pending = DeviceArray(ours.shape, ours.dtype, ours.address, ours.owner, Stream.create(device))
    with pytest.raises(UsageError, match="expected a CUDA stream"):
        pending.__dlpack__(stream="mine")  # type: ignore[arg-type]
    foreign = DeviceArray(ours.shape, ours.dtype, ours.address, object())
    for use in (foreign.__dlpack__, foreign.__dlpack_device__):
        with pytest.raises(BufferError, match="memory of another library"):
            use()
    assert not dlpack._exported
