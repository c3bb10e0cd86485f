"""The kernel that makes image-sized masks against `ImageTransform.upsample_mask`: the same bits."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from yolact.runtime.cuda.kernels import MasksToImageParams, MasksToImageTensors
from yolact.runtime.errors import UsageError
from yolact.runtime.images.geometry import ImageTransform

if TYPE_CHECKING:
    from kernel_backends import Backend

Region = tuple[int, int, int, int]
Size = tuple[int, int]

INVALID_VALUE = 1  # cudaErrorInvalidValue
UNTOUCHED = 0xA5
INT32 = np.iinfo(np.int32)
INT64 = np.iinfo(np.int64)

SIZES = [
    pytest.param((138, 138), (427, 640), id="as YOLACT"),
    pytest.param((35, 69), (333, 47), id="stretched"),
    pytest.param((24, 31), (7, 5), id="image smaller than mask"),
    pytest.param((40, 6), (11, 200), id="smaller and larger"),
    pytest.param((17, 23), (17, 23), id="same size"),
    pytest.param((16, 8), (64, 16), id="whole ratios"),
    pytest.param((1, 1), (5, 19), id="one cell"),
    pytest.param((1, 40), (30, 1), id="one row to one column"),
    pytest.param((9, 9), (1, 1), id="one pixel"),
    pytest.param((12, 12), (1100, 1000), id="more bytes than threads"),
    pytest.param((12, 5), (2090, 20), id="more strips than blocks"),
]


def full_mask(mask: np.ndarray, image_size: Size) -> np.ndarray:
    """What the CPU makes of a mask: (H, W) bool."""
    region, bits = ImageTransform(image_size).upsample_mask(mask)
    full = np.zeros(image_size, np.bool_)
    full[region.slices] = bits
    return full


def clamped(region: Region, image_size: Size) -> Region:
    top, left, bottom, right = region
    return max(top, 0), max(left, 0), min(bottom, image_size[0]), min(right, image_size[1])


def packed_size(region: Region, image_size: Size) -> int:
    top, left, bottom, right = clamped(region, image_size)
    return (bottom - top) * ((right - left + 7) // 8) if bottom > top and right > left else 0


def expected_bits(
    masks: np.ndarray, regions: Sequence[Region], offsets: Sequence[int], image_size: Size, size: int
) -> np.ndarray:
    """The bytes after the kernel has run."""
    result = np.full(size, UNTOUCHED, np.uint8)
    for mask, region, offset in zip(masks, regions, offsets, strict=True):
        if packed_size(region, image_size):
            top, left, bottom, right = clamped(region, image_size)
            packed = np.packbits(full_mask(mask, image_size)[top:bottom, left:right], axis=1).reshape(-1)
            start, stop = max(offset, 0), min(offset + packed.size, size)
            if start < stop:
                result[start:stop] = packed[start - offset : stop - offset]
    return result


def run(
    backend: Backend, masks: np.ndarray, regions: Sequence[Region], offsets: Sequence[int], image_size: Size, size: int
) -> np.ndarray:
    """What the kernel leaves in `size` bytes; memory around them and the inputs stay as they are."""
    inputs = {
        "masks": masks,
        "regions": np.array(regions, np.int32).reshape(-1, 4),
        "offsets": np.array(offsets, np.int64),
    }
    buffers = {name: backend.put(array) for name, array in inputs.items()}
    bits = backend.put(np.full(size, UNTOUCHED, np.uint8))
    params = MasksToImageParams(*masks.shape, *image_size, size)
    addresses = {name: buffer.address for name, buffer in buffers.items()}
    backend.library.masks_to_image(params, MasksToImageTensors(**addresses, bits=bits.address), backend.stream)
    for name, buffer in buffers.items():
        np.testing.assert_array_equal(buffer.read(inputs[name].dtype, inputs[name].shape), inputs[name])
    return bits.read(np.uint8, (size,))


def check(backend: Backend, masks: np.ndarray, regions: Sequence[Region], image_size: Size) -> None:
    """Regions one behind the other, as the runtime packs them."""
    sizes = [packed_size(region, image_size) for region in regions]
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    got = run(backend, masks, regions, offsets, image_size, sum(sizes))
    np.testing.assert_array_equal(got, expected_bits(masks, regions, offsets, image_size, sum(sizes)))


def noise(count: int, mask_size: Size, seed: int = 0) -> np.ndarray:
    """Masks without any structure: half of the cells above the threshold."""
    return np.random.default_rng(seed).uniform(0, 1, (count, *mask_size)).astype(np.float32)


def cropped(count: int, mask_size: Size, seed: int = 0) -> np.ndarray:
    """Noise inside a box, 0 outside; boxes touch the edges now and then."""
    rng = np.random.default_rng(seed)
    masks = noise(count, mask_size, seed)
    for mask in masks:
        for axis in (0, 1):
            first, last = sorted(rng.integers(0, mask.shape[axis] + 1, 2))
            view = np.moveaxis(mask, axis, 0)
            view[:first] = 0
            view[last:] = 0
    return masks


def own_region(mask: np.ndarray, image_size: Size) -> Region:
    """The region that the CPU says the mask can be set in."""
    region, _ = ImageTransform(image_size).upsample_mask(mask)
    return region.top, region.left, region.bottom, region.right


@pytest.mark.parametrize(("mask_size", "image_size"), SIZES)
def test_whole_images(backend: Backend, mask_size: Size, image_size: Size) -> None:
    masks = np.concatenate([noise(2, mask_size), cropped(1, mask_size)])
    check(backend, masks, [(0, 0, *image_size)] * 3, image_size)


@pytest.mark.parametrize(("mask_size", "image_size"), SIZES)
def test_regions_of_the_masks(backend: Backend, mask_size: Size, image_size: Size) -> None:
    """The bits come back from their bytes as the CPU's region holds them."""
    masks = cropped(6, mask_size, seed=3)
    for mask in masks:
        region, expected = ImageTransform(image_size).upsample_mask(mask)
        row_bytes = (region.shape[1] + 7) // 8
        size = region.shape[0] * row_bytes
        bits = run(backend, mask[None], [own_region(mask, image_size)], [0], image_size, size)
        unpacked = np.unpackbits(bits.reshape(region.shape[0], row_bytes), axis=1)
        np.testing.assert_array_equal(unpacked[:, : region.shape[1]], expected)
        assert not unpacked[:, region.shape[1] :].any()


def test_many_sizes(backend: Backend) -> None:
    """Masks of 0 and 1 cross the threshold at weights of 1/2, the sizes' roundest number."""
    rng = np.random.default_rng(11)
    for seed in range(120):
        *mask_size, height, width = (int(np.exp(rng.uniform(0, np.log(most)))) for most in (80, 80, 300, 300))
        masks = noise(3, (mask_size[0], mask_size[1]), seed)
        masks[1] = masks[1] > 0.5
        masks[2] = 0.5  # not above the threshold, whatever the weights
        regions = [own_region(masks[0], (height, width)), *[(0, 0, height, width)] * 2]
        check(backend, masks, regions, (height, width))


@pytest.mark.parametrize(("mask_size", "image_size"), SIZES)
def test_roundings_at_the_threshold(backend: Backend, mask_size: Size, image_size: Size) -> None:
    """Cells a few float32 away from 1/2, where another order of the operations gives other bits."""
    steps = np.random.default_rng(5).integers(-2, 4, (4, *mask_size))
    masks = (0.5 + steps * 2.0**-24).astype(np.float32)
    masks[3] = np.nextafter(np.float32(0.5), np.float32(1))
    # Rounding could lift pixels of cells that are not above the threshold, which the CPU's region leaves out.
    check(backend, masks, [own_region(mask, image_size) for mask in masks], image_size)


def test_no_detections(backend: Backend) -> None:
    assert (run(backend, noise(0, (5, 6)), [], [], (40, 50), 32) == UNTOUCHED).all()


@pytest.mark.parametrize("count", [1, 100])
def test_detections_share_the_bytes(backend: Backend, count: int) -> None:
    masks = cropped(count, (20, 31), seed=count)
    regions = [own_region(mask, (90, 130)) for mask in masks]
    check(backend, masks, regions, (90, 130))


def test_more_detections_than_a_grid_holds(backend: Backend) -> None:
    count = 65_535 + 9
    masks = noise(count, (1, 1))
    wanted = (np.arange(count) % 97 == 0) | (np.arange(count) >= count - 20)  # all would take seconds on a CPU
    regions = [(0, 0, 1, 1) if each else (0, 0, 0, 0) for each in wanted]
    bits = run(backend, masks, regions, range(count), (1, 1), count)
    np.testing.assert_array_equal(bits, np.where(wanted, np.where(masks.reshape(-1) > 0.5, 0x80, 0), UNTOUCHED))


@pytest.mark.parametrize(
    "region",
    [
        pytest.param((10, 10, 10, 30), id="no rows"),
        pytest.param((10, 10, 30, 10), id="no columns"),
        pytest.param((30, 20, 10, 40), id="rows the wrong way round"),
        pytest.param((10, 40, 30, 20), id="columns the wrong way round"),
        pytest.param((-9, -13, 20, 21), id="begins before the image"),
        pytest.param((31, 47, 99, 99), id="ends behind the image"),
        pytest.param((70, 0, 90, 60), id="below the image"),
        pytest.param((0, 70, 50, 90), id="right of the image"),
        pytest.param((-20, 0, -5, 60), id="above the image"),
        pytest.param((INT32.min, INT32.min, INT32.max, INT32.max), id="all numbers"),
        pytest.param((INT32.max, INT32.max, INT32.min, INT32.min), id="no numbers"),
        pytest.param((0, 0, 1, 1), id="first pixel"),
        pytest.param((49, 60, 50, 61), id="last pixel"),
        pytest.param((3, 5, 44, 13), id="one byte wide"),
        pytest.param((3, 5, 44, 14), id="one bit more"),
        pytest.param((3, 5, 44, 12), id="one bit less"),
    ],
)
def test_any_region(backend: Backend, region: Region) -> None:
    masks = noise(3, (14, 18))
    whole = (0, 0, 50, 61)
    check(backend, masks, [whole, region, whole], (50, 61))


@pytest.mark.parametrize("offset", [0, 3, 60, 263, 264, 10_000, -1, -255, -256, -9_999, INT64.max, INT64.min])
def test_what_lies_beyond_the_bytes_is_not_written(backend: Backend, offset: int) -> None:
    masks, regions = noise(1, (9, 9)), [(2, 3, 34, 67)]  # 256 bytes
    for size in (264, 100, 1, 0):
        got = run(backend, masks, regions, [offset], (40, 70), size)
        np.testing.assert_array_equal(got, expected_bits(masks, regions, [offset], (40, 70), size))


def test_nan_is_not_set(backend: Backend) -> None:
    masks = noise(3, (16, 16))
    masks[0] = np.nan
    masks[1, 4:7, 9] = np.nan
    masks[2, 0, 0] = masks[2, 15, 15] = np.nan
    check(backend, masks[:1], [(0, 0, 64, 64)], (64, 64))
    # For one NaN in it the CPU's region leaves out a row or column at the edge, so only regions of its own here.
    check(backend, masks[1:], [own_region(mask, (64, 64)) for mask in masks[1:]], (64, 64))


@pytest.mark.parametrize("schedule", [1, 2, 3])
def test_the_order_of_threads_does_not_matter(backend: Backend, schedule: int) -> None:
    masks = cropped(7, (20, 30), seed=5)
    backend.schedule(schedule)
    try:
        check(backend, masks, [own_region(mask, (77, 99)) for mask in masks], (77, 99))
    finally:
        backend.schedule(0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"detections": -1}, "detections must be 0 to 2147483647, got -1"),
        ({"height": 0}, "height must be 1 to 4096, got 0"),
        ({"height": 4097}, "height must be 1 to 4096, got 4097"),
        ({"width": 0}, "width must be 1 to 4096, got 0"),
        ({"image_height": 0}, "image_height must be 1 to 262144, got 0"),
        ({"image_width": 262145}, "image_width must be 1 to 262144, got 262145"),
        ({"bytes": -1}, "bytes must be at least 0, got -1"),
        ({"detections": 1 << 40}, r"MasksToImageParams\.detections must fit in 32 bits, got 1099511627776"),
    ],
)
def test_refuses(backend: Backend, change: dict[str, Any], sentence: str) -> None:
    params = replace(MasksToImageParams(1, 8, 8, 16, 16, 32), **change)
    with pytest.raises(UsageError, match=f"^{sentence}$"):
        backend.library.masks_to_image(params, MasksToImageTensors(0, 0, 0, 0), backend.stream)


def test_the_call_itself_refuses_too(host_kernels: Path) -> None:
    library = ctypes.CDLL(str(host_kernels))
    assert library.yolact_masks_to_image(ctypes.create_string_buffer(64), None, None) == INVALID_VALUE


def test_the_largest_sizes(backend: Backend) -> None:
    """Where positions come closest to 2^31; one region at the far end."""
    masks = np.zeros((1, 1, 4096), np.float32)
    masks[..., -40:] = noise(1, (1, 40))
    check(backend, masks, [(0, 262144 - 999, 1, 262144)], (1, 262144))


@pytest.mark.parametrize(("mask_size", "image_size"), SIZES)
def test_patches_that_need_no_blending(backend: Backend, mask_size: Size, image_size: Size) -> None:
    """Smooth areas on either side of the threshold, at the limits of what counts as sure and far beyond them."""
    rng = np.random.default_rng(17)
    limits = np.float32([0.49, 0.51, 2])
    values = np.float32([*limits, *np.nextafter(limits, -1), *np.nextafter(limits, 3), 0, -0.0, 1e-40, -1, 3e38, -3e38])
    area = -(-np.array(mask_size) // 4)
    masks = rng.choice(values, (12, *area)).repeat(4, axis=1).repeat(4, axis=2)[:, : mask_size[0], : mask_size[1]]
    special = np.ascontiguousarray(masks)
    special[:, rng.integers(mask_size[0]), rng.integers(mask_size[1])] = np.float32([np.inf, -np.inf, 2] * 4)
    for each in (np.ascontiguousarray(masks), special):
        with np.errstate(invalid="ignore", over="ignore"):
            check(backend, each, [own_region(mask, image_size) for mask in each], image_size)


@pytest.mark.parametrize("special", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_special_cell_among_sure_ones(backend: Backend, special: float) -> None:
    """Infinity times a weight of 0 is a NaN too; at the edges of a mask weights are 0."""
    for around in (0, 1):
        masks = np.full((2, 12, 12), around, np.float32)
        masks[0, 5, 6] = masks[1, 1, 1] = special
        with np.errstate(invalid="ignore"):
            check(backend, masks, [own_region(mask, (96, 130)) for mask in masks], (96, 130))
