"""Callers' arrays and streams, against the host driver: no copies, no waiting, and the right order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from documents import python_examples
from host_cuda.host_driver import ForeignArray, as_array, configure, counted, fail_next
from host_cuda.host_tensorrt import HostEngine
from repository import ROOT

from yolact.runtime.cuda.arrays import DeviceArray, as_stream
from yolact.runtime.cuda.device import Device, DeviceMemory, Graph, PinnedMemory, Stream
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.tensorrt.context import TensorRTContext
from yolact.runtime.tensorrt.engine import TensorRTEngine

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]


@pytest.fixture(scope="session")
def batch(photos: list[np.ndarray]) -> Image:
    return Preprocessor(160)(photos)


@pytest.fixture(scope="session")
def expected(tiny_engine: Path, batch: Image) -> dict[str, np.ndarray]:
    """What ONNX Runtime gives for the whole batch."""
    onnx = OnnxEngine(tiny_engine)
    return dict(zip(("num_detections", "boxes", "scores", "classes", "masks"), onnx.run(batch), strict=True))


@pytest.fixture
def context(open_plan: Open, tiny_engine: Path) -> Any:
    context = open_plan(tiny_engine)[0].create_context()
    yield context
    context.close()


def foreign_outputs(device: Device, expected: dict[str, np.ndarray]) -> dict[str, ForeignArray]:
    return {name: ForeignArray(device, np.full_like(array, 77)) for name, array in expected.items()}


class Upload:
    """Images on their way to the GPU: the copy is pending on a stream of its own."""

    def __init__(self, device: Device, images: Image, stream: Stream | None = None) -> None:
        self.stream = stream or Stream.create(device)
        memory = DeviceMemory(device, images.nbytes)
        self.array = DeviceArray(images.shape, images.dtype, memory.address, memory)
        self._pinned = PinnedMemory(device, images.nbytes)
        staging = self._pinned.as_array(images.shape, images.dtype)
        staging[:] = images
        with device.current():
            self.stream.upload(self.array.address, staging)

    def close(self) -> None:
        for resource in (self.stream, self._pinned, self.array.owner):
            resource.close()


def streams_of_other_libraries(stream: Stream) -> dict[str, object]:
    handle = stream.handle
    return {
        "ours": stream,
        "handle": handle,
        "pycuda": SimpleNamespace(handle=handle),
        "torch": SimpleNamespace(cuda_stream=handle),
        "cupy": SimpleNamespace(ptr=handle),
        "protocol": SimpleNamespace(__cuda_stream__=lambda: (0, handle)),
        "early protocol": SimpleNamespace(__cuda_stream__=(0, handle)),
    }


@pytest.mark.parametrize("library", ["ours", "handle", "pycuda", "torch", "cupy", "protocol", "early protocol"])
def test_callers_arrays_on_a_callers_stream(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray], library: str
) -> None:
    outputs = foreign_outputs(device, expected)
    upload = Upload(device, batch)
    stream = streams_of_other_libraries(upload.stream)[library]
    with counted("synchronisations") as waits, counted("downloaded") as downloaded, counted("uploaded") as uploaded:
        results = context.enqueue(SimpleNamespace(**interface(upload.array)), outputs, stream)
    assert waits == downloaded == uploaded == [0]
    assert all(results[name] is outputs[name] for name in expected)
    assert all((array.read() == 77).all() for array in outputs.values())  # nothing happened yet
    context.stream.synchronise()
    assert all((array.read() == 77).all() for array in outputs.values())  # nothing was put on another stream
    upload.stream.synchronise()
    for name, array in outputs.items():
        np.testing.assert_array_equal(array.read(), expected[name])
    upload.close()


def test_the_documented_calls(device: Device, open_plan: Open, tiny_engine: Path, batch: Image, expected: Any) -> None:
    (example,) = (text for text in python_examples(ROOT / "docs/how-to/engines.md") if "create_context" in text)
    upload, detector = Upload(device, batch), Detector(open_plan(tiny_engine)[0])
    images = SimpleNamespace(**interface(upload.array))
    names: dict[str, Any] = {"detector": detector, "images": images, "stream": upload.stream}
    exec(example, names)
    upload.stream.synchronise()
    boxes = names["outputs"]["boxes"]
    np.testing.assert_array_equal(as_array(boxes.address, boxes.shape, boxes.dtype), expected["boxes"])
    assert repr(detector) == "<Detector: an engine on cuda:0, 3 classes (person, dog, kite)>"
    names["context"].close()
    upload.close()


def interface(array: DeviceArray, **changes: Any) -> dict[str, Any]:
    return {"__cuda_array_interface__": array.__cuda_array_interface__ | {"stream": None} | changes}


@pytest.mark.parametrize("place", ["images", "outputs"])
def test_the_stream_that_an_interface_names_is_waited_for(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray], place: str
) -> None:
    scores, images = expected["scores"], ForeignArray(device, batch)
    if place == "images":
        late = Upload(device, batch)
        named = SimpleNamespace(**interface(late.array, stream=late.stream.handle))
        address = context.enqueue(named)["scores"].address
    else:  # what is still pending on the other stream would overwrite the results
        late = Upload(device, np.zeros(scores.nbytes, np.uint8))
        named = SimpleNamespace(
            **interface(late.array, shape=scores.shape, typestr="<f4", stream=late.stream.handle),
        )
        address = late.array.address
        context.enqueue(images, {"scores": named})
    context.stream.synchronise()
    late.stream.synchronise()
    np.testing.assert_array_equal(as_array(address, scores.shape, scores.dtype), scores)
    late.close()


def test_arrays_of_ours_are_reused_and_say_where_they_are_written(
    device: Device, context: TensorRTContext, tiny_engine: Path, batch: Image, expected: dict[str, np.ndarray]
) -> None:
    images, fewer = ForeignArray(device, batch), ForeignArray(device, batch[1:])
    boxes = ForeignArray(device, expected["boxes"])
    first = context.enqueue(images, {"boxes": boxes})
    with counted("allocations") as allocations, counted("created") as created:
        again = context.enqueue(images, {"boxes": boxes})
    assert allocations == created == [0]
    last = context.enqueue(fewer)["masks"]
    assert first["boxes"] is again["boxes"] is boxes
    assert first["masks"].address == again["masks"].address == last.address
    assert last.shape == (2, *expected["masks"].shape[1:]) and last.nbytes == expected["masks"][1:].nbytes
    assert last.__cuda_array_interface__ == {
        "shape": last.shape,
        "typestr": "<f4",
        "data": (last.address, False),
        "strides": None,
        "stream": context.stream.handle,
        "version": 3,
    }
    context.stream.synchronise()
    masks = OnnxEngine(tiny_engine).run(batch[1:])[4]
    np.testing.assert_array_equal(as_array(last.address, last.shape, last.dtype), masks)


@pytest.mark.parametrize("interleave", [0, 1])
def test_calls_on_different_streams_run_one_after_the_other(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray], interleave: int
) -> None:
    configure("interleave", interleave)
    streams = [Stream.create(device) for _ in range(2)]
    outputs = [foreign_outputs(device, expected) for _ in range(3)]
    images = ForeignArray(device, batch)
    for own, stream in zip(outputs, [streams[0], streams[1], streams[0]], strict=True):
        context.enqueue(images, own, stream)
    found = context.run(batch)  # on the context's own stream, and with the same activation memory
    for own in outputs:
        for name, array in own.items():
            np.testing.assert_array_equal(array.read(), expected[name])
    for i, image in enumerate(found):
        np.testing.assert_array_equal(image["scores"], expected["scores"][i, : len(image["scores"])])
    for stream in streams:
        stream.close()


def test_a_run_that_failed_is_over_before_the_next(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray]
) -> None:
    configure("interleave", 1)
    upload = Upload(device, batch)
    images = SimpleNamespace(**interface(upload.array))
    context.enqueue(images, None, upload.stream)
    upload.stream.synchronise()
    fail_next("cuStreamSynchronize", 700)
    with pytest.raises(EngineError):
        context.run(batch)
    delays = [Upload(device, batch, upload.stream) for _ in range(2)]  # so that leftovers would come in between
    outputs = foreign_outputs(device, expected)
    context.enqueue(images, outputs, upload.stream)  # shares activation memory with the run
    upload.stream.synchronise()
    for name, array in outputs.items():
        np.testing.assert_array_equal(array.read(), expected[name])
    for delay in delays:
        delay.close()


def test_closing_waits_for_what_still_runs(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray]
) -> None:
    stream = Stream.create(device)
    outputs, images = foreign_outputs(device, expected), ForeignArray(device, batch)
    context.enqueue(images, outputs, stream)
    context.close()
    for name, array in outputs.items():
        np.testing.assert_array_equal(array.read(), expected[name])
    stream.close()


def test_an_axis_of_one_may_have_any_stride(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray]
) -> None:
    strides = (1, *batch.strides[1:])
    images = ForeignArray(device, batch[:1], strides=strides)
    results = context.enqueue(images)
    context.stream.synchronise()
    assert as_array(results["num_detections"].address, (1,), "<i4") == expected["num_detections"][0]


@pytest.mark.parametrize("end", ["run", "close"])
def test_a_call_that_a_caller_records(
    open_plan: Open, tiny_engine: Path, device: Device, batch: Image, expected: dict[str, np.ndarray], end: str
) -> None:
    """Each launch of the graph is waited for, as a call would be."""
    context, stream = open_plan(tiny_engine)[0].create_context(), Stream.create(device)
    source, outputs = ForeignArray(device, batch), foreign_outputs(device, expected)
    context.enqueue(source, outputs)  # on another stream than the one that is recorded
    with device.current():
        graph = Graph(device, stream, lambda: context.enqueue(source, outputs, stream))
        context.stream.synchronise()
        for name, output in outputs.items():
            output.write(np.full_like(expected[name], 77))
        graph.launch(stream)
    assert (outputs["scores"].read() == 77).all()
    if end == "run":
        with counted("synchronisations"):
            (found,) = context.run(batch[:1])
        np.testing.assert_array_equal(found["scores"], expected["scores"][0])
        for name, array in expected.items():
            np.testing.assert_array_equal(outputs[name].read(), array, name)
    with pytest.raises(UsageError, match="was recorded in a CUDA graph; make another context"):
        context.enqueue(source, outputs, stream)
    context.close()
    for name, array in expected.items():
        np.testing.assert_array_equal(outputs[name].read(), array, name)
    graph.close()
    stream.close()


def test_a_recording_that_failed_leaves_the_context_as_it_was(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray]
) -> None:
    """TensorRT refuses to record its first run."""
    source, stream = ForeignArray(device, batch), Stream.create(device)
    with device.current(), pytest.raises(EngineError):
        Graph(device, stream, lambda: context.enqueue(source, None, stream))
    results = context.enqueue(source, None, stream)
    stream.synchronise()
    assert as_array(results["num_detections"].address, (1,), "<i4") == expected["num_detections"][0]
    context.close()
    stream.close()


IMAGES = {
    "host memory": (np.zeros((1, 160, 160, 3), np.uint8), "got ndarray, in memory of the host"),
    "nothing": (None, "got NoneType ("),
    "type": ({"typestr": "<f4"}, "expected images to be uint8 of shape (N, 160, 160, 3), got float32 of shape (3, 160"),
    "size": ({"shape": (3, 3, 160, 160)}, "got uint8 of shape (3, 3, 160, 160)"),
    "rank": ({"shape": (160, 160, 3)}, "got uint8 of shape (160, 160, 3)"),
    "strides": ({"strides": (76800, 3, 480, 1)}, "the array given is not C-contiguous; copy it first"),
    "mask": ({"mask": object()}, "has a mask"),
    "alignment": ({"data": (64, False)}, "starts at an address that is no multiple of 256"),
    "no memory": ({"data": (256, False)}, "expected images to be in memory of GPU 0, got an unknown address"),
    "most": ({"shape": (5, 160, 160, 3)}, "takes 1 to 4 images a call, got 5"),
    "stream": ({"stream": 123}, "expected a CUDA stream, got 123"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_rejected_images(device: Device, context: TensorRTContext, batch: Image, name: str) -> None:
    change, sentence = IMAGES[name]
    images = ForeignArray(device, batch, **change) if isinstance(change, dict) else change
    with pytest.raises(UsageError) as caught:
        context.enqueue(images)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


OUTPUTS = {
    "read only": ("scores", {"read_only": True}, "scores to be float32 of shape (3, 20), C-contiguous; the array given "
                  "may only be read"),
    "batch": ("scores", {"shape": (2, 20)}, "to be float32 of shape (3, 20), got float32 of shape (2, 20)"),
    "type": ("classes", {"typestr": "<i8"}, "expected classes to be int32 of shape (3, 20), got int64"),
    "name": ("logits", {}, "there is no output 'logits'; this plan has num_detections, boxes, scores, classes, masks"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTPUTS)
def test_rejected_outputs(
    device: Device, context: TensorRTContext, batch: Image, expected: dict[str, np.ndarray], case: str
) -> None:
    name, change, sentence = OUTPUTS[case]
    array = ForeignArray(device, expected.get(name, expected["scores"]), **change)
    if "read_only" in change:
        array.__cuda_array_interface__["data"] = (array.address, True)
    with pytest.raises(UsageError) as caught:
        context.enqueue(ForeignArray(device, batch), {name: array})
    assert sentence in str(caught.value)


def test_what_another_library_says_of_its_array_is_repeated(context: TensorRTContext) -> None:
    class OnTheCpu:
        @property
        def __cuda_array_interface__(self) -> object:
            raise RuntimeError("Can't get __cuda_array_interface__ on Variable\nthat requires grad.")

    with pytest.raises(UsageError, match=r"got OnTheCpu \(Can't get .* on Variable that requires grad.\)$"):
        context.enqueue(OnTheCpu())


@pytest.mark.parametrize("stream", [object(), "0", -1, True, 1.5, SimpleNamespace(handle="1")])
def test_rejected_streams(device: Device, stream: object) -> None:
    with device.current(), pytest.raises(UsageError, match="expected a CUDA stream: None, a handle, or an object of"):
        as_stream(stream, device)


def test_memory_and_streams_of_another_gpu(device: Device, context: TensorRTContext, batch: Image) -> None:
    other = Device.open(1)
    stream = Stream.create(other)
    with pytest.raises(UsageError, match="got memory of GPU 1"):
        context.enqueue(ForeignArray(other, batch))
    with pytest.raises(UsageError, match=r"primary context, got one of another .* import pycuda\.autoprimaryctx"):
        context.enqueue(ForeignArray(device, batch), None, stream)
    other.close()


def test_default_streams_are_streams(device: Device) -> None:
    with device.current():
        assert [as_stream(handle, device).handle for handle in (0, 1, 2)] == [0, 1, 2]
    assert DeviceArray((1,), np.dtype("u1"), 256, None, Stream(device, 0, None)).__cuda_array_interface__["stream"] == 1
