"""`Detector.stream`: order, errors where they belong, how far it reads ahead, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_engine import write_photo
from waiting import wait_until

from yolact.runtime.detection_stream import DetectionStream
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, ImageError
from yolact.runtime.images.arrays import Image


def sized(width: int) -> Image:
    """An image that is told by its width."""
    return np.full((8, width, 3), 200, np.uint8)


def widths(found: Iterable[Detections]) -> list[int]:
    return [one.image_size[1] for one in found]


def outcomes(stream: Iterator[Detections]) -> list[int | str]:
    """The width of each image, or what was raised at its turn."""
    found: list[int | str] = []
    while True:
        try:
            found.append(next(stream).image_size[1])
        except StopIteration:
            return found
        except (ImageError, EngineError, OSError) as error:
            found.append(str(error)[:12])


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("yolact-stream")]


@pytest.fixture(params=[False, True], ids=["one at a time", "two at once"])
def detector(engine: Path, request: pytest.FixtureRequest) -> Iterator[Detector]:
    with Detector.open(engine, threads=2, throughput=request.param) as opened:
        assert opened.engine.streams == 1 + request.param and opened.in_flight == 2 * opened.engine.streams
        yield opened
    assert not threads()


@pytest.mark.parametrize(("in_flight", "batch_size"), [(1, 1), (2, 1), (2, 3), (4, 2), (3, 100)])
@pytest.mark.parametrize("number", [0, 1, 7])
def test_images_come_in_order(detector: Detector, in_flight: int, batch_size: int, number: int) -> None:
    images = [sized(9 + index) for index in range(number)]
    stream = detector.stream(iter(images), in_flight, batch_size=batch_size)
    assert widths(stream) == list(range(9, 9 + number))
    assert list(stream) == [] and (stream.milliseconds > 0) == (number > 0)


def test_what_is_wanted_and_how_images_are_given(detector: Detector, tmp_path: Path) -> None:
    path = write_photo(tmp_path / "photo.png", 30, 40)
    sources: list[Any] = [str(path), path, sized(12), lambda: sized(13)]
    found = list(detector.stream(sources, score_threshold=0.75, class_ids=[0], top_k=1))
    assert widths(found) == [40, 40, 12, 13]
    expected = detector(sized(12), score_threshold=0.75, class_ids=[0], top_k=1)
    assert [one.scores.tolist() for one in found] == 4 * [expected.scores.tolist()] == 4 * [[np.float32(0.9)]]
    assert widths(detector.stream(np.stack([sized(9), sized(9)]))) == [9, 9]


def test_two_images_at_once_where_throughput_counts(
    tiny_engine: Path, photos: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that were alone would wait for the other in vain; detections stay the same, bit by bit."""
    with Detector.open(tiny_engine) as detector:
        assert detector.engine.streams == 1
        expected = [detector(photo) for photo in photos]
    with Detector.open(tiny_engine, threads=3, throughput=True) as detector:
        both, detect = threading.Barrier(2, timeout=60), detector.engine.detect
        monkeypatch.setattr(detector.engine, "detect", lambda images: (both.wait() and None) or detect(images))
        with detector.stream(photos[:2] * 3) as stream:
            for found, one in zip(stream, expected[:2] * 3, strict=True):
                np.testing.assert_array_equal(found.boxes, one.boxes)
                np.testing.assert_array_equal(found.scores, one.scores)
                assert len(found) and found.rle() == one.rle()
    with Detector.open(tiny_engine, threads=1, throughput=True) as detector:
        assert detector.engine.streams == 1, "one thread computes one image"


def broken() -> Image:
    raise OSError("the disk is gone")


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_errors_come_at_their_image_and_the_stream_goes_on(detector: Detector, tmp_path: Path, batch_size: int) -> None:
    sources = [sized(9), tmp_path / "none.png", sized(10), broken, np.zeros((3, 3)), sized(11), None]
    found = outcomes(detector.stream(sources, batch_size=batch_size))
    none, gone, expected = str(tmp_path)[:12], "the disk is gone"[:12], "expected an image"[:12]
    assert found == [9, none, 10, gone, expected, 11, expected]


def test_a_batch_that_fails_fails_for_each_of_its_images(detector: Detector) -> None:
    def find(images: Sequence[Image]) -> list[Detections]:
        if any(image.shape[1] == 12 for image in images):
            raise EngineError("the GPU has fallen off")
        return detector(images)

    sources = [sized(9), sized(10), sized(11), broken, sized(12), sized(13), sized(14)]
    for streams in (None, 2):
        stream = DetectionStream(find, sources, batch_size=3, in_flight=2, streams=streams)
        assert outcomes(stream) == [9, 10, 11, "the disk is ", "the GPU has ", "the GPU has ", 14]


def test_sources_that_fail_end_the_stream_in_their_turn(detector: Detector) -> None:
    def sources() -> Iterator[Image]:
        yield from map(sized, (9, 10, 11))
        raise OSError("the list is torn")

    for batch_size in (1, 2, 5):
        stream = detector.stream(sources(), batch_size=batch_size)
        assert outcomes(stream) == [9, 10, 11, "the list is "]


@pytest.mark.parametrize(("in_flight", "batch_size"), [(1, 1), (2, 1), (3, 2)])
def test_sources_are_asked_for_when_their_turn_is_near(detector: Detector, in_flight: int, batch_size: int) -> None:
    asked = []

    def sources() -> Iterator[Image]:
        for index in range(40):
            asked.append(index)
            yield sized(9)

    with detector.stream(sources(), in_flight, batch_size=batch_size) as stream:
        assert not asked
        for index, _ in enumerate(stream):
            begun = (index // batch_size + in_flight) * batch_size
            assert len(asked) == min(begun, 40)


class Arriving(Iterator[Image]):
    """Images of which there are none for now."""

    def __init__(self) -> None:
        self.there: list[Image] = []

    def __next__(self) -> Image:
        if not self.there:
            raise StopIteration
        return self.there.pop(0)


def test_sources_may_have_nothing_for_now(detector: Detector) -> None:
    sources = Arriving()
    with detector.stream(sources, 2, batch_size=2) as stream:
        for round_ in range(3):
            sources.there += map(sized, range(9, 12))
            stream.begin()
            assert not sources.there, "two batches may be in flight, of which the second is not full"
            sources.there += map(sized, range(12, 15))
            stream.begin()
            assert len(sources.there) == 3
            assert [next(stream).image_size[1] for _ in range(6)] == list(range(9, 15)), round_
    stream.begin()
    assert next(stream, None) is None


@pytest.mark.parametrize("end", ["close", "leave", "drop", "interrupt", "interrupted source"])
def test_a_stream_that_ends_early_leaves_nothing(detector: Detector, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    read = []

    def slow() -> Image:
        read.append(1)
        time.sleep(0.02)
        return sized(9)

    def sources() -> Iterator[Callable[[], Image]]:
        yield from [slow] * 3
        if end == "interrupted source":
            raise KeyboardInterrupt
        yield from [slow] * 100

    stream = detector.stream(sources(), 2)
    next(stream)
    if end == "close":
        stream.close()
        stream.close()
    elif end == "leave":
        with stream:
            pass
    elif end == "drop":
        stream = iter([])  # type: ignore[assignment]
    elif end == "interrupt":
        monkeypatch.setattr("yolact.runtime.detection_stream._detect", interrupted)
    if end.startswith("interrupt"):
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    wait_until(lambda: not threads())
    assert list(stream) == [] and len(read) <= 4


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


REJECTED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "one name": ({"images": "photo.jpg"}, TypeError, "expected several images, got one str"),
    "one path": ({"images": Path("photo.jpg")}, TypeError, "expected several images, got one PosixPath"),
    "one image": ({"images": np.zeros((4, 4, 3), np.uint8)}, TypeError, "expected several images, got one ndarray"),
    "no images": ({"images": 3}, TypeError, "not iterable"),
    "none in flight": ({"in_flight": 0}, ValueError, "in_flight must be a positive whole number"),
    "too many in flight": ({"in_flight": 65}, ValueError, "in_flight must be .* at most 64, got 65"),
    "half a batch": ({"batch_size": 0.5}, ValueError, "batch_size must be a positive whole number"),
    "a truth value": ({"batch_size": True}, ValueError, "batch_size must be a positive whole number"),
    "a threshold": ({"score_threshold": "0.5"}, TypeError, "score_threshold must be a number"),
    "top-k": ({"top_k": -1}, ValueError, "top_k must not be negative"),
    "classes": ({"class_ids": ["dog"]}, TypeError, "class_ids must be whole numbers"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_refused(detector: Detector, name: str) -> None:
    arguments, kind, sentence = REJECTED[name]
    with pytest.raises(kind, match=sentence):
        detector.stream(**{"images": []} | arguments)
    if arguments.keys() & {"score_threshold", "top_k", "class_ids"}:
        with pytest.raises(kind, match=sentence):
            detector(sized(9), **arguments)


def test_a_closed_detector_streams_nothing(engine: Path) -> None:
    detector = Detector.open(engine)
    stream = detector.stream([sized(9), sized(10)])
    next(stream)
    detector.close()
    with pytest.raises(EngineError, match="this detector was closed"):
        next(stream)
    with pytest.raises(EngineError, match="this detector was closed"):
        detector.stream([])
    stream.close()
