"""`Detector.stream` on a plan: batches in flight on contexts of their own, on the host driver."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from host_cuda.host_driver import configure, count, counted, fail_next
from host_cuda.host_tensorrt import HostEngine
from scripted_engine import infer, read_json, write_photo, write_video

from yolact.runtime.capi.bridge import Session
from yolact.runtime.capi.buffers import CImage
from yolact.runtime.cuda.kernels import KernelLibrary
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.tensorrt.engine import TensorRTEngine
from yolact.runtime.video.writer import VideoFile

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]


def images() -> list[Image]:
    """Ten of different sizes and shades, of which some are black."""
    return [shaded(index, 9 + 3 * index, 30 - index) for index in range(10)]


def shaded(index: int, height: int, width: int) -> Image:
    return np.full((height, width, 3), 25 * (index % 4), np.uint8)


@pytest.mark.parametrize("interleave", [0, 1])
@pytest.mark.parametrize(("in_flight", "batch_size"), [(1, 2), (2, 1), (3, 3), (4, 2)])
def test_results_are_those_of_calls(
    open_plan: Open, kernels: KernelLibrary, engine: Path, in_flight: int, batch_size: int, interleave: int
) -> None:
    configure("interleave", interleave)
    plan, _ = open_plan(engine, kernels=kernels)
    sources = [*images(), *(shaded(index, 12, 21) for index in range(9))]  # those of one size are recorded as graphs
    expected = Detector(OnnxEngine(engine))(sources, score_threshold=0.5)
    assert {len(one) for one in expected} == {0, 3}
    for _ in range(3):
        stream = Detector(plan).stream(sources, in_flight, batch_size=batch_size, score_threshold=0.5)
        for found, right in zip(stream, expected, strict=True):
            np.testing.assert_array_equal(found.boxes, right.boxes)
            assert found.image_size == right.image_size and found.rle() == right.rle()
            assert found.mask_bits is not None
    assert 1 <= count("streams") <= in_flight


@pytest.mark.parametrize("batch", [(), (3, 3)])
def test_yolact_infer_draws_what_it_draws_with_the_onnx_file(
    open_plan: Open,
    kernels: KernelLibrary,
    engine: Path,
    here: Path,
    batch: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A video and photos, with two batches at once: the same pictures, frames and JSON."""
    write_video(here / "film.avi", 8)
    for index in range(5):
        write_photo(here / "in" / f"{index}.png", 20 + index, 30)
    sources = ("film.avi", "in", "--json")
    given: defaultdict[str, list[tuple[float | None, Image]]] = defaultdict(list)
    write = VideoFile.write

    def keep_and_write(video: VideoFile, frame: Image, time: float | None = None) -> None:
        given[video.path.parent.name].append((time, frame.copy()))
        write(video, frame, time)

    monkeypatch.setattr(VideoFile, "write", keep_and_write)  # equal frames need not make equal bytes
    assert infer(engine, *sources, "expected.json", "--output", "expected").exit_code == 0
    plan, _ = open_plan(engine, *batch, kernels=kernels)
    monkeypatch.setattr("yolact.runtime.inference.open_engine", lambda *_: plan)
    result = infer(engine, *sources, "found.json", "--output", "found")
    assert result.exit_code == 0, result.stderr
    assert read_json(here / "found.json") == read_json(here / "expected.json")
    names = [path.name for path in sorted((here / "expected").iterdir())]
    assert len(names) == 6
    for name in set(names) - {"film.mp4"}:
        assert (here / "found" / name).read_bytes() == (here / "expected" / name).read_bytes(), name
    assert len(given["found"]) == 8
    for (time, frame), (expected_time, expected) in zip(given["found"], given["expected"], strict=True):
        assert time == expected_time
        np.testing.assert_array_equal(frame, expected)


def test_as_many_batches_run_at_once_as_are_in_flight(open_plan: Open, kernels: KernelLibrary, engine: Path) -> None:
    plan, host = open_plan(engine, kernels=kernels)
    host.creation_takes = 0.05  # so that their contexts would be made at the same time
    host.before_run = threading.Barrier(3, timeout=20).wait  # nothing goes on before three are in the network
    assert len(list(Detector(plan).stream(images()[:9], 3))) == 9
    assert count("streams") == 3


def test_a_run_that_fails_fails_at_its_images_alone(open_plan: Open, kernels: KernelLibrary, engine: Path) -> None:
    plan, _ = open_plan(engine, kernels=kernels)

    def sources() -> Iterator[Callable[[], Image]]:
        for index, image in enumerate(images()):

            def read(index: int = index, image: Image = image) -> Image:
                if index == 5:  # the second of the third batch
                    fail_next("cuStreamSynchronize", 719)
                return image

            yield read

    stream = Detector(plan).stream(sources(), 1, batch_size=2)
    failed, heights = [], []
    for index in range(10):
        try:
            heights.append(next(stream).image_size[0])
        except EngineError as error:
            assert "cuStreamSynchronize failed" in str(error)
            failed.append(index)
    assert failed == [4, 5] and heights == [9 + 3 * index for index in range(10) if index not in failed]
    assert next(stream, None) is None


def test_memory_follows_the_batches_in_flight(open_plan: Open, kernels: KernelLibrary, engine: Path) -> None:
    plan, _ = open_plan(engine, kernels=kernels)
    detector, image = Detector(plan), np.full((40, 50, 3), 9, np.uint8)
    list(detector.stream([image] * 8, 2))
    held = {name: count(name) for name in ("device_memory", "pinned_memory", "streams")}
    with counted("allocations") as allocations:
        list(detector.stream([image] * 40, 2))
        with detector.stream([image] * 40, 2) as stream:
            next(stream)
    if held["streams"] == 2:  # the second thread came to work while the first one did
        assert allocations == [0]
    assert all(count(name) <= 2 * size for name, size in held.items()) and count("streams") <= 2


def c_image(image: Image) -> CImage:
    return memoryview(image.reshape(-1)), *image.shape[:2], image.strides[0], 0


def test_what_c_submits_begins_before_a_result_is_taken(open_plan: Open, kernels: KernelLibrary, engine: Path) -> None:
    """The stream of libyolact: both batches are in the network at once, and a third follows."""
    plan, host = open_plan(engine, kernels=kernels)
    both, running = threading.Barrier(3, timeout=20), 0

    def meet() -> None:
        nonlocal running
        running += 1
        if running <= 2:
            both.wait()

    host.before_run = meet
    session = Session(Detector(plan), 0.5, None)
    stream = session.open_stream(2, 2)
    for image in images()[:4]:
        stream.submit(c_image(image))
    both.wait()  # nobody has asked for a result yet
    taken = [stream.take()]
    stream.submit(c_image(images()[4]))
    taken += [stream.take() for _ in range(4)]
    assert [(height, width) for height, width, _ in taken] == [image.shape[:2] for image in images()[:5]]
    assert [found for *_, (found,) in taken] == session.infer([c_image(image) for image in images()[:5]])
    stream.submit(c_image(images()[5]))
    session.close()  # with an image in it
    with pytest.raises(ReferenceError, match="was closed"):
        stream.take()
