"""What libyolact refuses: a status and a sentence, and never a crash."""

from __future__ import annotations

import ctypes as c
from pathlib import Path
from typing import Any
from zlib import crc32

import capi_client as client
import cv2
import numpy as np
import pytest
from capi_client import BGR, BGRA, CImage, Options, Results, describe, open_handle, options

from yolact.runtime.detector import Detector
from yolact.runtime.errors import YolactError


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"struct_size": 0}, client.ARGUMENT, "struct_size to be 40, got 0"),
        ({"struct_size": 31}, client.ARGUMENT, "got 31"),
        ({"struct_size": 2**64 - 1}, client.ARGUMENT, "YOLACT_OPTIONS_DEFAULT"),
        ({"score_threshold": 1.5}, client.ARGUMENT, "from 0 to 1, got 1.5"),
        ({"score_threshold": float("nan")}, client.ARGUMENT, "got nan"),
        ({"top_k": -1}, client.ARGUMENT, "top_k"),
        ({"threads": -1}, client.ARGUMENT, "threads"),
        ({"threads": 100000}, client.ARGUMENT, "to 1024, got 100000"),
        ({"device": b"gpu"}, client.ARGUMENT, "got 'gpu'"),
        ({"device": b"\xff"}, client.ARGUMENT, "device"),
        ({"device": b"openvino:XPU"}, client.ARGUMENT, "has no device XPU here, only"),
        ({"precision": b"bf16"}, client.ARGUMENT, "a precision of file or auto, got 'bf16'"),
        ({"precision": b"auto"}, client.ARGUMENT, "--precision auto is for --device openvino"),
    ],
)
def test_wrong_options(capi: Any, engine: Path, changes: dict[str, Any], status: int, said: str) -> None:
    handle = c.c_uint64(7)
    assert capi.yolact_open(str(engine).encode(), options(**changes), handle) == status
    assert said in capi.yolact_last_error().decode()
    assert handle.value == 0


@pytest.mark.parametrize(
    ("name", "contents"),
    [("missing.onnx", None), ("empty.onnx", b""), ("text.plan", b"text"), ("headless.plan", b"ftrt" + bytes(200))],
)
def test_files_that_do_not_open(capi: Any, tmp_path: Path, name: str, contents: bytes | None) -> None:
    """Among them a plan, which needs a GPU: Python's sentence is C's."""
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(YolactError) as caught:
        Detector.open(tmp_path / name)
    handle = c.c_uint64(7)
    assert capi.yolact_open(str(tmp_path / name).encode(), None, handle) == client.ENGINE
    assert capi.yolact_last_error().decode() == str(caught.value)
    assert handle.value == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": None}, "got NULL"),
        ({"height": 0, "width": 0}, "got 0x0"),
        ({"height": 0}, "got 4x0"),
        ({"width": -4}, "got -4x3"),
        ({"width": 2**31 - 1, "height": 2**31 - 1, "stride": 2**40}, "got 2147483647x2147483647"),
        ({"width": 2**20, "height": 2**20, "stride": 2**30}, "at most 1073741824 pixels"),
        ({"stride": 11}, "at least 12 bytes"),
        ({"stride": 0}, "got 0"),
        ({"stride": 2**64 - 1}, "fits into memory"),
        ({"format": 4}, "format from 0 to 3"),
        ({"format": -1}, "got -1"),
        ({"format": BGRA}, "at least 16 bytes"),
    ],
)
def test_wrong_images(capi: Any, engine: Path, changes: dict[str, Any], said: str) -> None:
    handle = open_handle(capi, engine)
    array, results = np.ones((3, 4, 3), np.uint8), c.POINTER(Results)(Results())
    images = (CImage * 2)(describe(array), describe(array, **{"format_": BGR} | _renamed(changes)))
    assert capi.yolact_infer(handle, images, 2, results) == client.IMAGE
    assert capi.yolact_last_error().decode().startswith("image 1: expected")
    assert said in capi.yolact_last_error().decode()
    assert not results
    capi.yolact_close(handle)


def _renamed(changes: dict[str, Any]) -> dict[str, Any]:
    return {"format_" if name == "format" else name: value for name, value in changes.items()}


def test_null_arguments(capi: Any, engine: Path) -> None:
    path, handle, results = str(engine).encode(), c.c_uint64(7), c.POINTER(Results)()
    array = np.ones((3, 4, 3), np.uint8)
    assert capi.yolact_open(None, None, handle) == client.ARGUMENT and handle.value == 0
    assert capi.yolact_open(path, None, None) == client.ARGUMENT
    opened = open_handle(capi, engine)
    assert capi.yolact_infer(opened, None, 1, results) == client.ARGUMENT
    assert capi.yolact_infer(opened, describe(array), 1, None) == client.ARGUMENT
    assert capi.yolact_infer(opened, describe(array), 2**64 - 1, results) == client.ARGUMENT
    assert b"at most 65536 images" in capi.yolact_last_error()
    capi.yolact_results_free(None)
    capi.yolact_close(opened)


def test_handles_that_are_not_open(capi: Any, engine: Path) -> None:
    closed, other = open_handle(capi, engine), open_handle(capi, engine)
    assert capi.yolact_close(closed) == client.OK
    array, results = np.ones((3, 4, 3), np.uint8), c.POINTER(Results)()
    for handle in (0, closed, 2**63):
        assert capi.yolact_infer(handle, describe(array), 1, results) == client.HANDLE
        assert f"got {handle}" in capi.yolact_last_error().decode()
        assert capi.yolact_class_count(handle) == 0
    assert capi.yolact_close(closed) == capi.yolact_close(2**63) == client.HANDLE
    assert capi.yolact_close(0) == client.OK
    assert len(client.infer(capi, other, [describe(array)])) == 1
    assert open_handle(capi, engine) not in (closed, other)


def test_options_may_be_left_out(capi: Any, engine: Path) -> None:
    handle = c.c_uint64()
    assert capi.yolact_open(str(engine).encode(), None, handle) == client.OK
    (found,) = client.infer(capi, handle.value, [describe(np.full((9, 8, 3), 200, np.uint8))])
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert c.sizeof(Options) == 40


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello", "this is no image"),
        (b"\xff\xd8\xff", "truncated"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (b"BM" + bytes(60), "damaged"),
    ],
)
def test_files_that_do_not_decode(capi: Any, data: bytes, said: str) -> None:
    image = CImage(1, 2, 3, 4, 5)
    assert capi.yolact_image_decode(data, len(data), image) == client.IMAGE
    assert said in capi.yolact_last_error().decode()
    assert (image.data, image.height, image.width) == (None, 0, 0)
    assert capi.yolact_image_decode(None, 5, image) == client.ARGUMENT
    assert capi.yolact_image_decode(data, len(data), None) == client.ARGUMENT
    assert capi.yolact_image_decode(data, 2**64 - 1, image) == client.ARGUMENT
    capi.yolact_image_free(image)
    capi.yolact_image_free(None)


def test_mutated_files_decode_to_three_channels_or_not_at_all(capi: Any) -> None:
    """Of all formats, with some bytes of the header changed; always the same ones."""
    random = np.random.default_rng(3)
    pixels = random.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    seeds = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix in (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm")]
    seeds += [b"Pf\n8 9\n-1.0\n" + bytes(4 * 72), b"PF\n8 9\n1.0\n" + bytes(12 * 72), b"P5 8 9 65535\n" + bytes(144)]
    decoded = 0
    for turn in range(600):
        data = bytearray(seeds[turn % len(seeds)])
        for _ in range(turn % 4):
            data[random.integers(min(len(data), 60))] = random.integers(256)
        image = CImage()
        status = capi.yolact_image_decode(bytes(data), len(data), image)
        assert status in (client.OK, client.IMAGE), capi.yolact_last_error()
        if status == client.OK:
            assert (image.stride, image.format) == (3 * image.width, BGR)
            assert len(c.string_at(image.data, image.height * image.stride)) > 0
        decoded += status == client.OK
        capi.yolact_image_free(image)
    assert 600 / 4 < decoded < 600


@pytest.mark.parametrize(
    ("limit", "status", "said"),
    [
        ("600", client.OK, ""),
        ("599", client.IMAGE, "has 30x20 pixels, expected at most 599 in all"),
        ("0", client.ARGUMENT, "YOLACT_MAX_PIXELS: expected a number of pixels"),
        ("many", client.ARGUMENT, "got 'many'"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_the_limit_of_pixels(
    capi: Any, monkeypatch: pytest.MonkeyPatch, suffix: str, limit: str, status: int, said: str
) -> None:
    data = cv2.imencode(suffix, np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    monkeypatch.setenv("YOLACT_MAX_PIXELS", limit)
    image = CImage()
    assert capi.yolact_image_decode(data, len(data), image) == status
    assert (image.height, image.width) == ((20, 30) if status == client.OK else (0, 0))
    assert said in capi.yolact_last_error().decode()
    capi.yolact_image_free(image)


def test_a_small_file_of_a_huge_image(capi: Any) -> None:
    """Refused by its header, before memory is taken for the pixels."""
    data = bytearray(cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    data[16:24] = (20_000).to_bytes(4, "big") + (10_001).to_bytes(4, "big")
    data[29:33] = crc32(data[12:29]).to_bytes(4, "big")
    assert capi.yolact_image_decode(bytes(data), len(data), CImage()) == client.IMAGE
    assert "20000x10001 pixels, expected at most 200,000,000 in all" in capi.yolact_last_error().decode()
