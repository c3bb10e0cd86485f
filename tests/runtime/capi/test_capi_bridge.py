"""libyolact checks what Python hands it: what has another shape is a status, never a read beyond memory."""

from __future__ import annotations

import ctypes as c
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import capi_client as client
import numpy as np
import pytest
from capi_client import CImage, Results, describe, open_handle, options

from yolact.runtime.capi import bridge


@pytest.mark.parametrize(
    "decoded",
    [
        np.zeros((5, 7), np.uint8),
        np.zeros((5, 7, 1), np.uint8),
        np.zeros((5, 7, 4), np.uint8),
        np.zeros((5, 7, 3, 1), np.uint8),
        np.zeros((), np.uint8),
        np.zeros((0, 7, 3), np.uint8),
        np.zeros((5, 0, 3), np.uint8),
        np.zeros((2**20 + 1, 1, 3), np.uint8),
        np.zeros((5, 7, 3), np.int8),
        np.zeros((5, 7, 3), np.uint16),
        np.zeros((5, 7, 3), np.float32),
        np.zeros((5, 7, 3), "S1"),
        np.zeros((5, 7, 3), np.uint8, order="F"),
        np.zeros((5, 14, 3), np.uint8)[:, ::2],
        np.zeros((5, 7, 3), object),
        bytes(5 * 7 * 3),
        [[[0, 0, 0]]],
        None,
    ],
)
def test_what_is_no_image_is_not_taken_for_pixels(capi: Any, monkeypatch: pytest.MonkeyPatch, decoded: Any) -> None:
    monkeypatch.setattr(bridge, "decode", lambda file: decoded)
    image = CImage(1, 2, 3, 4, 5)
    assert capi.yolact_image_decode(b"file", 4, image) == client.INTERNAL
    assert capi.yolact_last_error()
    assert (image.data, image.height, image.width, image.stride) == (None, 0, 0, 0)


def test_an_image_that_nobody_may_write_is_copied(capi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    pixels.flags.writeable = False
    monkeypatch.setattr(bridge, "decode", lambda file: pixels)
    image = CImage()
    assert capi.yolact_image_decode(b"file", 4, image) == client.OK
    assert c.string_at(image.data, 18) == pixels.tobytes()
    capi.yolact_image_free(image)


def buffers(**changes: bytes | None) -> tuple[bytes | None, ...]:
    """Two detections in an image of 4 rows and 10 columns; masks of 1 x 10 and 4 x 1 pixels."""
    parts: dict[str, bytes | None] = {
        "boxes": np.zeros((2, 4), np.float32).tobytes(),
        "scores": np.zeros(2, np.float32).tobytes(),
        "class_ids": np.zeros(2, np.int32).tobytes(),
        "mask_scores": None,
        "regions": regions((3, 0, 1, 10), (0, 9, 4, 1)),
        "bits": bytes(2 + 4),
    }
    return tuple((parts | changes).values())


def regions(*rows: tuple[int, int, int, int]) -> bytes:
    return np.array(rows, np.int32).tobytes()


@pytest.mark.parametrize(
    "found",
    [
        [],
        [buffers()] * 2,
        (buffers(),),
        None,
        [None],
        [buffers()[:5]],
        [(*buffers(), b"")],
        [buffers(boxes=None)],
        [buffers(boxes=bytes(16))],
        [buffers(scores=bytes(7))],
        [buffers(scores=bytes(9))],
        [buffers(scores=bytes(4))],
        [buffers(class_ids=bytes(16))],
        [buffers(mask_scores=bytes(4))],
        [buffers(regions=bytes(16))],
        [buffers(bits=bytes(5))],
        [buffers(bits=bytes(7))],
        [buffers(regions=regions((3, 0, 1, 10), (0, 10, 4, 1)))],
        [buffers(regions=regions((4, 0, 1, 10), (0, 9, 4, 1)))],
        [buffers(regions=regions((-1, 0, 1, 10), (0, 9, 4, 1)))],
        [buffers(regions=regions((3, 0, 1, 10), (0, 2**31 - 1, 4, 1)))],
        [buffers(regions=regions((3, 0, -1, 10), (0, 9, 8, 1)))],
        [buffers(regions=regions((3, 0, 2**31 - 1, 2**31 - 1), (0, 9, 4, 1)))],
    ],
)
def test_results_that_do_not_belong_together(
    capi: Any, engine: Path, monkeypatch: pytest.MonkeyPatch, found: Any
) -> None:
    handle = open_handle(capi, engine)
    monkeypatch.setattr(bridge.Session, "infer", lambda session, images: found)
    array, results = np.ones((4, 10, 3), np.uint8), c.POINTER(Results)(Results())
    assert capi.yolact_infer(handle, describe(array), 1, results) == client.INTERNAL
    assert capi.yolact_last_error()
    assert not results
    monkeypatch.setattr(bridge.Session, "infer", lambda session, images: [buffers()])
    (one,) = client.infer(capi, handle, [describe(array)])
    assert [region for region, _ in one.masks] == [(3, 0, 1, 10), (0, 9, 4, 1)]
    capi.yolact_close(handle)


@pytest.mark.parametrize(
    "session",
    [
        SimpleNamespace(class_names=(b"a",)),
        SimpleNamespace(max_batch=1),
        SimpleNamespace(class_names=[b"a"], max_batch=1),
        SimpleNamespace(class_names=("a",), max_batch=1),
        SimpleNamespace(class_names=None, max_batch=1),
        SimpleNamespace(class_names=(b"a",), max_batch=0),
        SimpleNamespace(class_names=(b"a",), max_batch=2**31),
        SimpleNamespace(class_names=(b"a",), max_batch=2**70),
        SimpleNamespace(class_names=(b"a",), max_batch="1"),
        None,
    ],
)
def test_a_session_of_other_types(capi: Any, monkeypatch: pytest.MonkeyPatch, session: Any) -> None:
    monkeypatch.setattr(bridge, "open_session", lambda *given: session)
    handle = c.c_uint64(7)
    assert capi.yolact_open(b"any.onnx", options(), handle) == client.INTERNAL
    assert capi.yolact_last_error()
    assert handle.value == 0


def test_text_that_c_would_cut_or_cannot_read_is_escaped(
    capi: Any, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros would end a name early, half of a surrogate pair has no UTF-8, and sentences are for terminals."""
    names = ("a\0b", "\ud800", "größe")
    detector = SimpleNamespace(class_names=names, max_batch=2**40, close=lambda: None)
    monkeypatch.setattr(bridge.Detector, "open", lambda *given, **options: detector)
    handle = open_handle(capi, engine)
    assert capi.yolact_class_name(handle, 0) == rb"a\x00b"
    assert capi.yolact_class_name(handle, 1) == rb"\ud800"
    assert capi.yolact_class_name(handle, 2) == "größe".encode()
    assert capi.yolact_max_batch(handle) == 2**31 - 1
    capi.yolact_close(handle)

    def fail(*given: Any) -> None:
        raise bridge.EngineError("a\0b \udcff \x1b[31m\n größe")

    monkeypatch.setattr(bridge, "open_session", fail)
    assert capi.yolact_open(b"any.onnx", None, c.c_uint64()) == client.ENGINE
    assert capi.yolact_last_error() == r"a\x00b \udcff \x1b[31m\n größe".encode()
