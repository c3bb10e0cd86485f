"""The resize kernel against the CPU's preprocessing: the same bytes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from yolact.runtime.cuda.kernels import DeviceImage
from yolact.runtime.errors import UsageError
from yolact.runtime.images.preprocess import Preprocessor

if TYPE_CHECKING:
    from kernel_backends import Backend

INVALID_VALUE = 1  # cudaErrorInvalidValue


@dataclass(frozen=True)
class Layout:
    """How an image's bytes lie: see `DeviceImage`. `padding`: bytes behind each row but the last."""

    pixel_stride: int = 3
    channels: tuple[int, int, int] = (0, 1, 2)
    padding: int = 0

    def pack(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) BGR to the bytes of this layout; those that are no part of the image are noise."""
        height, width = image.shape[:2]
        rows = np.random.default_rng(0).integers(0, 256, (height, self.row_stride(width)), np.uint8)
        pixels = rows[:, : width * self.pixel_stride].reshape(height, width, self.pixel_stride)
        pixels[..., list(self.channels)] = image
        rows[:, : width * self.pixel_stride] = pixels.reshape(height, -1)
        return rows.reshape(-1)[: rows.size - self.padding]

    def row_stride(self, width: int) -> int:
        return width * self.pixel_stride + self.padding


BGR = Layout()


def resize(backend: Backend, image: np.ndarray, size: int, layout: Layout = BGR) -> np.ndarray:
    """What the kernel makes of a BGR image; what it reads and the memory around its result stay as they are."""
    height, width = image.shape[:2]
    packed = layout.pack(image)
    source = backend.put(packed)
    target = backend.put(np.full(size * size * 3, 0xA5, np.uint8))
    description = DeviceImage(
        source.address, height, width, layout.row_stride(width), layout.pixel_stride, layout.channels
    )
    backend.library.resize_pack(description, size, target.address, backend.stream)
    result = target.read(np.uint8, (size, size, 3))
    np.testing.assert_array_equal(source.read(np.uint8, packed.shape), packed)
    return result


def check(backend: Backend, image: np.ndarray, size: int, layout: Layout = BGR) -> None:
    expected = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize(backend, image, size, layout), expected, f"{image.shape} to {size}")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Neighbours that differ by anything, so that each weight and rounding shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [138, 550])
def test_photos_become_what_preprocessing_makes_of_them(backend: Backend, photos: list[np.ndarray], size: int) -> None:
    for image, expected in zip(photos, Preprocessor(size)(photos), strict=True):
        np.testing.assert_array_equal(resize(backend, image, size), expected)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        pytest.param(1, 1, 1, id="pixel to pixel"),
        pytest.param(1, 1, 70, id="one pixel"),
        pytest.param(1, 37, 20, id="one row"),
        pytest.param(41, 1, 20, id="one column"),
        pytest.param(2, 30000, 33, id="very wide"),
        pytest.param(30000, 2, 33, id="very high"),
        pytest.param(97, 97, 97, id="same size"),
        pytest.param(274, 274, 137, id="exactly half"),
        pytest.param(274, 137, 137, id="exactly half in height"),
        pytest.param(137, 274, 137, id="exactly half in width"),
        pytest.param(411, 411, 137, id="exactly a third"),
        pytest.param(64, 64, 128, id="exactly double"),
        pytest.param(31, 45, 257, id="enlarged"),
        pytest.param(333, 211, 46, id="reduced"),
        pytest.param(300, 40, 129, id="both"),
        pytest.param(700, 900, 1, id="to one pixel"),
    ],
)
def test_sizes(backend: Backend, height: int, width: int, size: int) -> None:
    check(backend, noise(height, width), size)


def test_many_sizes(backend: Backend) -> None:
    """The 150 sizes are spread evenly over orders of magnitude."""
    rng = np.random.default_rng(7)
    for seed in range(150):
        height, width, size = (int(np.exp(rng.uniform(0, np.log(most)))) for most in (700, 700, 300))
        check(backend, noise(height, width, seed), size)


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(Layout(padding=13), id="padded BGR"),
        pytest.param(Layout(3, (2, 1, 0)), id="RGB"),
        pytest.param(Layout(4, (0, 1, 2)), id="BGRA"),
        pytest.param(Layout(4, (3, 2, 1), padding=4), id="padded ARGB"),
    ],
)
def test_layouts(backend: Backend, layout: Layout) -> None:
    for size in (30, 150):
        check(backend, noise(71, 90), size, layout)


@pytest.mark.parametrize("layout", [Layout(1, (0, 0, 0)), Layout(1, (0, 0, 0), padding=3), Layout(2, (1, 1, 1))])
def test_grey(backend: Backend, layout: Layout) -> None:
    check(backend, np.repeat(noise(71, 90)[..., :1], 3, axis=2), 64, layout)


@pytest.mark.parametrize("skipped", range(4))
def test_images_start_and_end_at_any_byte(backend: Backend, skipped: int) -> None:
    """The kernel reads whole words where these lie inside the image, and single bytes elsewhere."""
    for width in (1, 2, 9, 10, 11, 12):
        for stride in (1, 3, 4):
            layout = Layout(stride, (0, min(1, stride - 1), stride - 1), padding=width % 3)
            image = noise(5, width) if stride > 1 else np.repeat(noise(5, width)[..., :1], 3, axis=2)
            packed = layout.pack(image)
            source = backend.put(np.concatenate([np.zeros(skipped, np.uint8), packed]))
            target = backend.put(np.zeros(17 * 17 * 3, np.uint8))
            description = DeviceImage(
                *(source.address + skipped, 5, width, layout.row_stride(width), stride, layout.channels)
            )
            backend.library.resize_pack(description, 17, target.address, backend.stream)
            expected = cv2.resize(image, (17, 17), interpolation=cv2.INTER_LINEAR)
            np.testing.assert_array_equal(target.read(np.uint8, expected.shape), expected)


@pytest.mark.parametrize("schedule", [1, 2, 3])
def test_the_order_of_threads_does_not_matter(backend: Backend, schedule: int) -> None:
    backend.schedule(schedule)
    try:
        check(backend, noise(53, 61), 140)
    finally:
        backend.schedule(0)


@pytest.mark.parametrize(
    ("change", "size", "sentence"),
    [
        ({}, 0, "size must be 1 to 16384, got 0"),
        ({}, 16385, "size must be 1 to 16384, got 16385"),
        ({"height": 0}, 8, "height must be 1 to 16777216, got 0"),
        ({"height": (1 << 24) + 1}, 8, "height must be 1 to 16777216, got 16777217"),
        ({"width": -1}, 8, "width must be 1 to 16777216, got -1"),
        ({"pixel_stride": 0}, 8, "pixel_stride must be 1 to 4, got 0"),
        ({"pixel_stride": 5}, 8, "pixel_stride must be 1 to 4, got 5"),
        ({"channels": (3, 1, 2)}, 8, r"channels\[0\] must be 0 to 2, got 3"),
        ({"channels": (0, 1, -1)}, 8, r"channels\[2\] must be 0 to 2, got -1"),
        ({"pixel_stride": 1}, 8, r"channels\[1\] must be 0 to 0, got 1"),
        ({"row_stride": 29}, 8, r"row_stride must be width \* pixel_stride = 30 to 274877906944, got 29"),
        ({"row_stride": -30}, 8, r"row_stride must be width \* pixel_stride = 30 to 274877906944, got -30"),
        ({"row_stride": 1 << 39}, 8, "row_stride must be .* got 549755813888"),
        ({"data": 0}, 8, "data must be the device address of an image, got a null pointer"),
        ({"height": 1 << 32}, 8, r"DeviceImage\.height must fit in 32 bits, got 4294967296"),
    ],
)
def test_refuses(backend: Backend, change: dict[str, Any], size: int, sentence: str) -> None:
    image = backend.put(np.zeros(300, np.uint8))
    target = backend.put(np.zeros(192, np.uint8))
    description = replace(DeviceImage(image.address, 10, 10, 30), **change)
    with pytest.raises(UsageError, match=f"^{sentence}$"):
        backend.library.resize_pack(description, size, target.address, backend.stream)
    assert not target.read(np.uint8, (192,)).any()


def test_the_call_itself_refuses_too(host_kernels: Path) -> None:
    library = ctypes.CDLL(str(host_kernels))
    assert library.yolact_resize_pack(ctypes.create_string_buffer(64), 8, None, None) == INVALID_VALUE
