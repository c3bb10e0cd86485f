"""The module that owns memory and streams, against the host driver."""

from __future__ import annotations

import gc
import subprocess
import sys

import missing
import numpy as np
import pytest
from host_cuda.host_driver import configure, count, counted, fail_next
from repository import ROOT

from yolact.runtime.cuda.device import Device, DeviceMemory, Event, Graph, PinnedMemory, Stream
from yolact.runtime.cuda.gpu import Gpu, read_gpu
from yolact.runtime.errors import EngineError


def test_what_a_gpu_is() -> None:
    device = Device.open(1)
    assert (device.index, device.name, device.compute_capability) == (1, "Host GPU 1", (8, 6))
    assert device.driver_version == (13, 2)
    memory = DeviceMemory(device, 1 << 20)
    assert device.memory_info() == ((1 << 30) - (1 << 20), 1 << 30)
    assert memory.address % 256 == 0 and memory.size == 1 << 20
    device.close()


@pytest.mark.parametrize(
    ("gpus", "index", "sentence"),
    [
        (
            0,
            0,
            r"finds no GPU that it can use: cuInit failed \(CUDA_ERROR_NO_DEVICE, no CUDA-capable device is detected",
        ),
        (1, 1, r"there is no GPU 1: CUDA sees 1 GPU, number 0 \("),
        (2, 5, r"there is no GPU 5: CUDA sees 2 GPUs, numbered from 0 \("),
        (2, -1, "there is no GPU -1: "),
    ],
)
def test_gpus_that_are_not_there(gpus: int, index: int, sentence: str) -> None:
    configure("devices", gpus)
    with pytest.raises(EngineError, match=sentence):
        Device.open(index)


def test_a_code_without_a_text() -> None:
    fail_next("cuDeviceGetCount", 803)
    with pytest.raises(EngineError, match=r"^cuDeviceGetCount failed \(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\)$"):
        Device.open()


def test_one_context_for_all_that_open_a_gpu() -> None:
    devices = [Device.open() for _ in range(3)]
    assert count("contexts") == 1 and len({int(device.context) for device in devices}) == 1
    for left, device in zip((1, 1, 0), devices, strict=True):
        device.close()
        device.close()
        assert count("contexts") == left
        with pytest.raises(EngineError, match="GPU 0 was closed"), device.current():
            pass


def test_a_name_takes_no_context() -> None:
    """A context would take part of a second and of the GPU's memory, and end what other libraries made there."""
    with counted("created") as created:
        assert read_gpu(1) == Gpu("Host GPU 1", "sm_86", "13.2")
        with pytest.raises(EngineError, match=r"there is no GPU 2: CUDA sees 2 GPUs, numbered from 0"):
            read_gpu(2)
    assert created == [0]


def test_copies_events_and_graphs(device: Device) -> None:
    streams = [Stream.create(device) for _ in range(2)]
    event, memory, pinned = Event(device), DeviceMemory(device, 40), PinnedMemory(device, 80)
    source, target = pinned.as_array((2, 10), np.float32)
    source[:], target[:] = range(10), -1
    event.synchronise()  # never recorded, so nothing to wait for
    with device.current():
        streams[0].upload(memory.address, source)
        event.record(streams[0])
        streams[1].wait(event)
        streams[1].download(target, memory.address)
        assert (target == -1).all()
        streams[1].synchronise()
        np.testing.assert_array_equal(target, range(10))
        graph = Graph(device, streams[0], lambda: streams[0].upload(memory.address, source))
        source[:] = 5
        graph.launch(streams[0])
        source[:] = 6  # copied when it comes to it, not when it was put there
        streams[0].synchronise()
        streams[1].download(target, memory.address)
        streams[1].synchronise()
    assert (target == 6).all()
    assert (pinned.as_array((20,), "f4")[10:] == 6).all()


def test_a_stream_survives_a_recording_that_failed(device: Device) -> None:
    stream, memory, pinned = Stream.create(device), DeviceMemory(device, 8), PinnedMemory(device, 8)
    values = pinned.as_array((8,), np.uint8)

    def give_up() -> None:
        stream.upload(memory.address, values)
        raise KeyboardInterrupt

    with device.current():
        with pytest.raises(KeyboardInterrupt):
            Graph(device, stream, give_up)
        with pytest.raises(EngineError, match=r"cuStreamSynchronize failed .*not permitted when stream is capturing"):
            Graph(device, stream, stream.synchronise)
        fail_next("cuGraphInstantiateWithFlags", 2)
        with pytest.raises(EngineError, match="cuGraphInstantiate failed"):
            Graph(device, stream, lambda: stream.upload(memory.address, values))
        assert count("graphs") == count("execs") == 0
        stream.upload(memory.address, values)
        stream.synchronise()
    assert count("uploaded") >= 8


def test_everything_goes_with_the_device() -> None:
    device = Device.open()
    kept = [Stream.create(device), Event(device), DeviceMemory(device, 1), PinnedMemory(device, 1)]
    device.close()
    assert count("contexts") == count("streams") == count("events") == count("device_memory") == 0
    for resource in kept:
        resource.close()


def test_an_array_keeps_its_pinned_memory() -> None:
    device = Device.open()
    array = PinnedMemory(device, 12).as_array((3,), np.int32)
    view = array[1:]
    del array
    gc.collect()
    assert count("pinned_memory") == 12
    view[:] = 3
    del view
    assert count("pinned_memory") == 0
    device.close()


LEFT_OPEN = """
import atexit
from host_cuda.host_driver import LIVE, count
atexit.register(lambda: print({name: count(name) for name in (*LIVE, "misuse")}))  # the last to run
from yolact.runtime.cuda.device import Device, DeviceMemory, Event, PinnedMemory, Stream
device = Device.open()
left = [Stream.create(device), Event(device), DeviceMemory(device, 1), PinnedMemory(device, 1)]
left.append(left)
print(count("contexts") + count("streams") + count("events"))
"""


def test_the_end_of_the_interpreter_frees_what_was_left() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, check=True, cwd=ROOT / "tests" / "runtime"
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "3"
    assert set(eval(lines[1]).values()) == {0}


def test_without_cuda_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(EngineError, match=r"needs cuda-bindings; install it with: pip install -e '\.\[tensorrt\]'"):
        Device.open()


def test_without_a_driver() -> None:
    program = """
from yolact.runtime.cuda.device import Device
from yolact.runtime.cuda.gpu import Gpu, read_gpu
from yolact.runtime.errors import EngineError
try:
    Device.open()
except EngineError as error:
    print(error)
"""
    environment = {"PATH": "/usr/bin:/bin"}  # without the library path that leads to the host driver
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    if done.returncode == 0 and not done.stdout:
        pytest.skip(missing.WITHOUT_A_GPU)
    assert done.stdout.startswith("there is no NVIDIA driver on this machine (") or "finds no GPU" in done.stdout
    assert len(done.stdout.splitlines()) == 1
