"""yolact_stream_...: the results of calls, in order, within bounds, and a status for everything that is wrong."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import capi_client as client
import numpy as np
import pytest
from capi_client import BGRA, GRAY, RGB, CImage, Found, StreamOptions, describe, open_handle, open_stream, take
from scripted_engine import write_engine

from yolact.runtime.capi import bridge
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, ImageError

STATUSES: dict[type[Exception], int] = {
    EngineError: client.ENGINE,
    ImageError: client.IMAGE,
    MemoryError: client.MEMORY,
    ZeroDivisionError: client.INTERNAL,
}


@pytest.fixture
def handle(capi: Any, engine: Path) -> Iterator[int]:
    number = open_handle(capi, engine)
    yield number
    capi.yolact_close(number)


def sized(width: int) -> np.ndarray:
    return np.full((8, width, 3), 200, np.uint8)


def widths(found: list[Found | int]) -> list[int]:
    """Of the images, which the second box reaches the right edge of; statuses as negative numbers."""
    return [round(float(one.boxes[1, 2])) if isinstance(one, Found) else -one for one in found]


def submit(capi: Any, stream: int, image: np.ndarray) -> int:
    return int(capi.yolact_stream_submit(stream, describe(image)))


def through(capi: Any, stream: int, images: list[np.ndarray]) -> tuple[list[Found | int], int]:
    """Every image through a stream that is kept full, and the most that it held."""
    left, found, held, most = list(images), list[Found | int](), 0, 0
    while True:
        while left and submit(capi, stream, left[0]) == client.OK:
            left.pop(0)
            held += 1
        most = max(most, held)
        one = take(capi, stream)
        if one == client.EMPTY:
            return found, most
        held -= 1
        found.append(one)


@pytest.mark.parametrize(("in_flight", "batch_size"), [(1, 1), (2, 1), (2, 3), (1, 4), (64, 2)])
@pytest.mark.parametrize("number", [0, 1, 13])
def test_images_come_in_order_and_no_more_than_were_said(
    capi: Any, handle: int, in_flight: int, batch_size: int, number: int
) -> None:
    stream = open_stream(capi, handle, in_flight, batch_size)
    for _ in range(2):  # an empty stream goes on
        found, most = through(capi, stream, [sized(9 + index) for index in range(number)])
        assert widths(found) == list(range(9, 9 + number))
        assert most == min(number, in_flight * batch_size)
    assert capi.yolact_stream_close(stream) == client.OK


@pytest.mark.parametrize("batch_size", [0, 3])
def test_results_are_those_of_calls(capi: Any, tiny_engine: Path, photos: list[np.ndarray], batch_size: int) -> None:
    """Of photos in all formats, whose memory is overwritten right after they were submitted."""
    bgr = np.ascontiguousarray(photos[0][:90, :120])
    images = [
        (bgr, client.BGR),
        (bgr[..., ::-1].copy(), RGB),
        (bgr[..., 1].copy(), GRAY),
        (np.dstack([bgr, bgr]), BGRA),
    ]
    images = [(pixels[..., :4].copy() if format_ == BGRA else pixels, format_) for pixels, format_ in images]
    handle = open_handle(capi, tiny_engine)
    expected = [client.infer(capi, handle, [describe(pixels, format_)])[0] for pixels, format_ in images]
    assert sum(len(one.scores) for one in expected) > 8
    stream = open_stream(capi, handle, 4, batch_size)
    memories = [pixels.copy() for pixels, _ in images]  # which stay, so that nothing else takes their place
    for memory, (_, format_) in zip(memories, images, strict=True):
        assert capi.yolact_stream_submit(stream, describe(memory, format_)) == client.OK
        memory[:] = 0
    for right in expected:
        found = take(capi, stream)
        assert isinstance(found, Found)
        if batch_size == 0:
            assert found.boxes.tobytes() == right.boxes.tobytes() and found.scores.tobytes() == right.scores.tobytes()
        np.testing.assert_allclose(found.boxes, right.boxes, atol=1e-2)
        assert [region for region, _ in found.masks] == [region for region, _ in right.masks]
    assert take(capi, stream) == client.EMPTY
    capi.yolact_close(handle)
    assert capi.yolact_stream_close(stream) == client.OK


def test_a_file_of_a_fixed_batch_is_given_full_batches(
    capi: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = open_handle(capi, write_engine(tmp_path / "three.onnx", batch=3))
    sizes: list[int] = []
    detect: Callable[..., Any] = Detector._detect_batch
    monkeypatch.setattr(Detector, "_detect_batch", lambda *given: sizes.append(len(given[1])) or detect(*given))
    stream = open_stream(capi, handle)
    found, most = through(capi, stream, [sized(9 + index) for index in range(11)])
    assert widths(found) == list(range(9, 20)) and most == 6
    assert sizes == [3, 3, 3, 2]
    sizes.clear()
    for turn in "ssssss ttt s t ss ttttt".replace(" ", ""):  # one waits alone while a batch is under way
        assert submit(capi, stream, sized(9)) == client.OK if turn == "s" else isinstance(take(capi, stream), Found)
    assert sizes == [3, 3, 3]
    capi.yolact_close(handle)
    capi.yolact_stream_close(stream)


def test_a_detector_ends_its_streams(capi: Any, engine: Path) -> None:
    handle = open_handle(capi, engine)
    streams = [open_stream(capi, handle) for _ in range(2)]
    assert submit(capi, streams[0], sized(9)) == client.OK
    assert capi.yolact_close(handle) == client.OK
    for stream in streams:
        assert submit(capi, stream, sized(9)) == take(capi, stream) == client.HANDLE
        assert b"the detector that it runs on, was closed" in capi.yolact_last_error()
        assert capi.yolact_stream_close(stream) == client.OK


@pytest.mark.parametrize("kind", STATUSES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_failure_comes_at_its_images_and_the_stream_goes_on(
    capi: Any, handle: int, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], batch_size: int
) -> None:
    detect: Callable[..., Any] = Detector._detect_batch

    def fail_at_13(self: Detector, images: list[np.ndarray], *given: object) -> object:
        if any(image.shape[1] == 13 for image in images):
            raise kind("it is broken")
        return detect(self, images, *given)

    monkeypatch.setattr(Detector, "_detect_batch", fail_at_13)
    stream = open_stream(capi, handle, 2, batch_size)
    found, _ = through(capi, stream, [sized(9 + index) for index in range(9)])
    lost = {13} if batch_size == 1 else {12, 13, 14}
    assert widths(found) == [-STATUSES[kind] if width in lost else width for width in range(9, 18)]
    assert submit(capi, stream, sized(13)) == client.OK and take(capi, stream) == STATUSES[kind]
    assert b"it is broken" in capi.yolact_last_error()
    capi.yolact_stream_close(stream)


def test_an_image_that_is_refused_is_not_in_the_stream(capi: Any, handle: int) -> None:
    stream = open_stream(capi, handle)
    wrong: list[dict[str, Any]] = [{"data": None}, {"height": 0}, {"width": -1}, {"stride": 2}, {"format_": 9}]
    for number, changes in enumerate(wrong):
        assert capi.yolact_stream_submit(stream, describe(sized(9), **changes)) == client.IMAGE
        assert capi.yolact_last_error().startswith(b"image 0: expected")
        assert submit(capi, stream, sized(20 + number)) == client.OK
        assert widths([take(capi, stream), take(capi, stream)]) == [20 + number, -client.EMPTY]
    capi.yolact_stream_close(stream)


def test_full_and_empty_say_what_to_do(capi: Any, handle: int) -> None:
    stream = open_stream(capi, handle)
    assert take(capi, stream) == client.EMPTY and b"submit another" in capi.yolact_last_error()
    assert [submit(capi, stream, sized(9)) for _ in range(3)] == [client.OK, client.OK, client.FULL]
    assert capi.yolact_last_error() == b"this stream holds 2 images already; take a result first"
    capi.yolact_stream_close(stream)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"struct_size": 0}, b"struct_size to be 16, got 0"),
        ({"struct_size": 2**64 - 1}, b"YOLACT_STREAM_OPTIONS_DEFAULT"),
        ({"in_flight": 0}, b"1 to 64 batches in_flight, got 0"),
        ({"in_flight": 65}, b"got 65"),
        ({"in_flight": -(2**31)}, b"got -2147483648"),
        ({"batch_size": -1}, b"got -1"),
        ({"batch_size": 2**16 + 1}, b"to 65536, got 65537"),
    ],
)
def test_wrong_options(capi: Any, handle: int, changes: dict[str, int], said: bytes) -> None:
    stream = c.c_uint64(7)
    chosen = StreamOptions(**{"struct_size": c.sizeof(StreamOptions), "in_flight": 2, "batch_size": 0} | changes)
    assert capi.yolact_stream_open(handle, chosen, stream) == client.ARGUMENT
    assert said in capi.yolact_last_error() and stream.value == 0


def test_null_and_numbers_that_are_not_open(capi: Any, handle: int) -> None:
    stream, closed = open_stream(capi, handle), open_stream(capi, handle)
    assert capi.yolact_stream_close(closed) == client.OK
    assert capi.yolact_stream_open(handle, None, None) == client.ARGUMENT
    assert capi.yolact_stream_submit(stream, None) == client.ARGUMENT
    assert capi.yolact_stream_next(stream, None) == client.ARGUMENT
    for number in (0, closed, 2**63, handle):  # a detector is no stream
        assert submit(capi, number, sized(9)) == client.HANDLE
        assert f"got {number}" in capi.yolact_last_error().decode()
        assert take(capi, number) == client.HANDLE
        assert capi.yolact_stream_close(number) == (client.HANDLE if number else client.OK)
    opened = c.c_uint64(7)
    for number in (0, stream, 2**63):
        assert capi.yolact_stream_open(number, None, opened) == client.HANDLE and opened.value == 0
    assert capi.yolact_close(stream) == client.HANDLE
    assert capi.yolact_stream_open(handle, None, opened) == client.OK
    assert opened.value not in (stream, closed, handle)
    for number in (stream, opened.value):
        assert capi.yolact_stream_close(number) == client.OK


@pytest.mark.parametrize("taken", [None, (8, 9), (8, 9, None), ("8", 9, []), (-1, -1, []), (8, 9, [None])])
def test_what_the_bridge_should_never_return(
    capi: Any, handle: int, monkeypatch: pytest.MonkeyPatch, taken: Any
) -> None:
    stream = open_stream(capi, handle)
    monkeypatch.setattr(bridge.ImageStream, "take", lambda self: taken)
    assert take(capi, stream) == client.INTERNAL and capi.yolact_last_error()
    capi.yolact_stream_close(stream)


def test_masks_beyond_the_image_are_not_taken(capi: Any, handle: int, monkeypatch: pytest.MonkeyPatch) -> None:
    region = np.array([0, 0, 8, 9], np.int32).tobytes()
    buffers = (bytes(16), bytes(4), bytes(4), None, region, bytes(16))
    stream = open_stream(capi, handle)
    for width, status in ((9, client.OK), (8, client.INTERNAL)):
        monkeypatch.setattr(bridge.ImageStream, "take", lambda self, width=width: (8, width, [buffers]))
        found = take(capi, stream)
        assert (client.OK if isinstance(found, Found) else found) == status
    capi.yolact_stream_close(stream)


def test_layouts_stay() -> None:
    assert (c.sizeof(StreamOptions), c.sizeof(CImage), c.sizeof(client.Options)) == (16, 32, 40)
