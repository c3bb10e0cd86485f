"""libyolact in a process that runs Python already: what it gives equals what Python gives."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import capi_client as client
import cv2
import numpy as np
import pytest
from capi_client import BGR, BGRA, GRAY, RGB, CImage, Results, describe, open_handle, options
from scripted_engine import CLASS_NAMES, write_engine

from yolact.runtime.capi.bridge import decode_image
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import ImageError
from yolact.runtime.images.image_files import read_image


def assert_equal(found: client.Found, expected: Detections) -> None:
    for name in ("boxes", "scores", "class_ids"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
    assert (found.mask_scores is None) == (expected.mask_scores is None)
    if found.mask_scores is not None and expected.mask_scores is not None:
        assert found.mask_scores.tobytes() == expected.mask_scores.tobytes()
    full = np.zeros(expected.masks.shape, np.bool_)
    for mask, ((top, left, height, width), bits) in zip(full, found.masks, strict=True):
        inside = np.unpackbits(bits, axis=1)
        assert not inside[:, width:].any()
        mask[top : top + height, left : left + width] = inside[:, :width]
    assert np.array_equal(full, expected.masks)


@pytest.mark.parametrize("fixture", ["tiny_engine", "tiny_raw_engine", "engine"])
def test_a_batch_of_other_sizes_equals_pythons(
    capi: Any, fixture: str, photos: list[np.ndarray], request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(fixture)
    images = [photos[0], photos[1][:301, :97], np.ascontiguousarray(photos[2][:33, ::3])]
    assert len({image.shape for image in images}) == 3 and images[1].strides[0] > 97 * 3
    handle = open_handle(capi, path)
    found = client.infer(capi, handle, [describe(image) for image in images])
    with Detector.open(path) as detector:
        expected = [one.select(0.0) for one in detector(images)]
    assert sum(len(one) for one in expected) > 3
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other)
    assert capi.yolact_close(handle) == client.OK


def test_thresholds_mask_scores_and_best_ones(capi: Any, tmp_path: Path) -> None:
    path = write_engine(tmp_path / "rescored.onnx", mask_scores=[0.3, 0.6, 0.5, 0.05])
    image = np.full((37, 61, 3), 90, np.uint8)
    with Detector.open(path) as detector:
        everything = detector(image)
    for threshold, top_k in ((0.0, None), (0.2, None), (0.2, 2), (1.0, None)):
        handle = open_handle(capi, path, options(score_threshold=threshold, top_k=top_k or 0))
        (found,) = client.infer(capi, handle, [describe(image)])
        assert_equal(found, everything.select(threshold, top_k))
        capi.yolact_close(handle)


def test_openvino(capi: Any, tiny_engine: Path, photos: list[np.ndarray]) -> None:
    """In both precisions, which differ where the processor has bfloat16."""
    for precision in ("file", "auto"):
        chosen = options(device=b"openvino", precision=precision.encode(), threads=1)
        handle = open_handle(capi, tiny_engine, chosen)
        found = client.infer(capi, handle, [describe(photo) for photo in photos])
        with Detector.open(tiny_engine, device="openvino", threads=1, precision=precision) as detector:
            for one, other in zip(found, detector(photos), strict=True):
                assert_equal(one, other.select(0.0))
        capi.yolact_close(handle)


@pytest.fixture(scope="module")
def tiny(capi: Any, tiny_engine: Path) -> Iterator[tuple[int, Detector]]:
    """One engine, opened by C and by Python."""
    handle = open_handle(capi, tiny_engine)
    with Detector.open(tiny_engine) as detector:
        yield handle, detector
    capi.yolact_close(handle)


@pytest.mark.parametrize("format_", [BGR, RGB, GRAY, BGRA])
@pytest.mark.parametrize("padding", [0, 5])
def test_formats_and_strides(capi: Any, tiny: tuple[int, Detector], photos: Any, format_: int, padding: int) -> None:
    photo = np.ascontiguousarray(photos[0][:211, :307])
    convert = {RGB: cv2.COLOR_BGR2RGB, GRAY: cv2.COLOR_BGR2GRAY, BGRA: cv2.COLOR_BGR2BGRA}
    pixels = photo if format_ == BGR else cv2.cvtColor(photo, convert[format_])
    if format_ == GRAY:
        photo = np.repeat(pixels[:, :, None], 3, axis=2)
    rows = pixels.reshape(len(pixels), -1)
    memory = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    before = memory.copy()
    handle, detector = tiny
    image = CImage(memory.ctypes.data, *photo.shape[:2], memory.strides[0], format_)
    (found,) = client.infer(capi, handle, [image])
    assert_equal(found, detector(photo).select(0.0))
    assert np.array_equal(memory, before)


def test_no_images_and_no_detections(capi: Any, engine: Path) -> None:
    handle = open_handle(capi, engine)
    assert client.infer(capi, handle, []) == []
    results = c.POINTER(Results)()
    assert capi.yolact_infer(handle, None, 0, results) == client.OK
    capi.yolact_results_free(results)
    black, white = np.zeros((20, 31, 3), np.uint8), np.full((31, 20, 3), 255, np.uint8)
    found = client.infer(capi, handle, [describe(black), describe(white)])
    assert [len(one.scores) for one in found] == [0, 4]
    capi.yolact_close(handle)


def test_results_outlive_their_handle(capi: Any, engine: Path) -> None:
    handle = open_handle(capi, engine)
    image, results = np.full((20, 31, 3), 255, np.uint8), c.POINTER(Results)()
    capi.yolact_infer(handle, describe(image), 1, results)
    capi.yolact_close(handle)
    assert results.contents.images[0].scores[:4] == pytest.approx([0.9, 0.8, 0.7, 0.1])
    capi.yolact_results_free(results)


def test_class_names(capi: Any, engine: Path) -> None:
    handle = open_handle(capi, engine)
    count = capi.yolact_class_count(handle)
    assert tuple(capi.yolact_class_name(handle, i).decode() for i in range(count)) == CLASS_NAMES
    for class_id in (-1, count, 2**31 - 1, -(2**31)):
        assert capi.yolact_class_name(handle, class_id) is None
    capi.yolact_close(handle)
    assert capi.yolact_class_count(handle) == 0 and capi.yolact_class_name(handle, 0) is None


def test_python_threads_at_once(capi: Any, tiny_engine: Path, photos: list[np.ndarray]) -> None:
    handle = open_handle(capi, tiny_engine, options(threads=1))
    with Detector.open(tiny_engine, threads=1) as detector:
        expected = [detector(photo).select(0.0) for photo in photos]
    failures: list[str] = []

    def work(index: int) -> None:
        try:
            for _ in range(3):
                (found,) = client.infer(capi, handle, [describe(photos[index])])
                assert_equal(found, expected[index])
        except AssertionError as error:
            failures.append(str(error))

    threads = [Thread(target=work, args=(i,)) for i in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    capi.yolact_close(handle)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_decoding_is_the_runtimes(capi: Any, photos: list[np.ndarray], tmp_path: Path, suffix: str) -> None:
    """Among them grayscale and 16 bits, which come out as 8-bit BGR."""
    images = [photos[0][:, :101], photos[1][:33, :, 0]]
    if suffix == ".png":
        images.append(photos[2].astype(np.uint16) * 257)
    for photo in images:
        path = tmp_path / f"photo{suffix}"
        cv2.imwrite(str(path), photo)
        data, image = path.read_bytes(), CImage()
        assert capi.yolact_image_decode(data, len(data), image) == client.OK
        assert (image.height, image.width, image.format) == (*photo.shape[:2], BGR)
        assert image.stride == 3 * image.width
        pixels = np.ctypeslib.as_array(c.cast(image.data, c.POINTER(c.c_uint8)), (image.height, image.width, 3))
        assert np.array_equal(pixels, read_image(path))
        capi.yolact_image_free(image)
        assert (image.data, image.height) == (None, 0)


def test_a_picture_that_opencv_gives_two_dimensions(capi: Any) -> None:
    """Grey values of 32 bits: three channels as Python has them, or refused as Python does."""
    data = b"Pf\n5 7\n-1.0\n" + np.linspace(0, 1, 35, dtype="<f4").tobytes()
    image = CImage()
    status = capi.yolact_image_decode(data, len(data), image)
    try:
        expected = decode_image(data, "image")
    except ImageError as error:
        assert (status, capi.yolact_last_error().decode()) == (client.IMAGE, str(error))
        return
    assert status == client.OK and (image.height, image.width, image.stride) == (7, 5, 15)
    assert c.string_at(image.data, 7 * 15) == expected.tobytes()
    capi.yolact_image_free(image)


def test_batch_limits(capi: Any, engine: Path, tmp_path: Path) -> None:
    for path, expected in ((engine, 2**31 - 1), (write_engine(tmp_path / "three.onnx", batch=3), 3)):
        handle = open_handle(capi, path)
        assert capi.yolact_max_batch(handle) == expected
        capi.yolact_close(handle)
        assert capi.yolact_max_batch(handle) == 0
