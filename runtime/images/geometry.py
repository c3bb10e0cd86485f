"""Maps boxes and masks from the square network input to the original image: the only place that does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolact.runtime.images.arrays import BoolArray, FloatArray

MASK_THRESHOLD = 0.5
"""A pixel belongs to an instance where its interpolated probability is strictly above this."""

_BLEND_PIXELS = 1 << 16  # float pixels in flight while upsampling: small enough to stay in the CPU's cache


@dataclass(frozen=True)
class Region:
    """A rectangle of whole pixels in an image: rows [top, bottom), columns [left, right)."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this region in an (H, W) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), pixels."""
        return self.bottom - self.top, self.right - self.left


@dataclass(frozen=True)
class ImageTransform:
    """Relates an image of `image_size` (height, width) to the network that saw it stretched to a square.

    YOLACT stretches: aspect ratio is not kept and nothing is padded (official utils/augmentations.py,
    `FastBaseTransform`), so relative coordinates are the same in both frames.
    """

    image_size: tuple[int, int]

    def boxes_to_image(self, boxes: FloatArray) -> FloatArray:
        """Relative xyxy (D, 4) to pixels of the original image, clamped to it.

        The official `sanitize_coordinates` clamps x1 below and x2 above only, which turns a box outside the image
        inside out; here every coordinate lies in the image and such a box has no area.
        """
        height, width = self.image_size
        extent = np.array([width, height, width, height], np.float32)
        with np.errstate(over="ignore"):  # a box may reach as far as floats do
            return np.clip(boxes * extent, 0, extent).astype(np.float32, copy=False)

    def mask_regions(self, boxes: FloatArray, grid: tuple[int, int], padding: int) -> NDArray[np.int32]:
        """The parts of the image in which masks cropped to these boxes can be set, without looking at the masks.

        Args:
            boxes: relative xyxy (D, 4), finite.
            grid: (Hp, Wp) of the masks.
            padding: cells that a crop may keep around a box on each side.

        Returns:
            (D, 4) int32 top, left, bottom, right. Each holds the region that `upsample_mask` returns.
        """
        sides = []
        for axis, cells, pixels in zip((1, 0), grid, self.image_size, strict=True):
            limits = boxes[:, [axis, axis + 2]].astype(np.float64) * cells + (-padding, padding)
            first, last = np.clip(np.ceil(limits) - (0, 1), 0, cells - 1).T
            sides.append(_pixels_reached(first, last, cells, pixels))
        (top, bottom), (left, right) = sides
        return np.stack([top, left, bottom, right], axis=1).astype(np.int32)

    def upsample_mask(self, mask: FloatArray) -> tuple[Region, BoolArray]:
        """Binary mask at image resolution, only where it can be set.

        Args:
            mask: cropped probabilities (Hp, Wp) float32 at prototype resolution, 0 outside the instance's box.

        Returns:
            The region of the image that can hold set pixels, and the bool mask (h, w)
            inside it: bilinear upsampling from prototype resolution straight to the image (align_corners=False),
            then > 0.5 (official layers/output_utils.py). Memory follows the region, not the image.
        """
        # Interpolation lies between its corners, so only cells above the threshold can lift a pixel above it.
        rows = np.flatnonzero(mask.max(axis=1) > MASK_THRESHOLD)
        columns = np.flatnonzero(mask.max(axis=0) > MASK_THRESHOLD)
        if len(rows) == 0:
            return Region(0, 0, 0, 0), np.zeros((0, 0), np.bool_)
        top, bottom, upper, row_weight = _sample_positions(rows[0], rows[-1], mask.shape[0], self.image_size[0])
        left, right, leftmost, column_weight = _sample_positions(
            columns[0], columns[-1], mask.shape[1], self.image_size[1]
        )
        region = Region(top, left, bottom, right)
        if 0 in region.shape:
            return region, np.zeros(region.shape, np.bool_)
        lower = np.minimum(upper + 1, mask.shape[0] - 1)
        needed = mask[upper[0] : lower[-1] + 1]
        upper, lower = upper - upper[0], lower - upper[0]
        # Columns first: that product has only the few rows needed, so nearly all work is the contiguous blend below.
        rightmost = np.minimum(leftmost + 1, mask.shape[1] - 1)
        wide = needed[:, leftmost] * (1 - column_weight) + needed[:, rightmost] * column_weight
        result = np.empty(region.shape, np.bool_)
        step = max(1, _BLEND_PIXELS // region.shape[1])
        for start in range(0, region.shape[0], step):
            part = slice(start, start + step)
            blend = wide[upper[part]] * (1 - row_weight[part])[:, None]
            blend += wide[lower[part]] * row_weight[part][:, None]
            np.greater(blend, MASK_THRESHOLD, out=result[part])
        return region, result


def _sample_positions(first: int, last: int, cells: int, pixels: int) -> tuple[int, int, NDArray[np.intp], FloatArray]:
    """Along one axis: the pixels that cells [first, last] can influence, and where each of them samples the grid.

    The axis has `cells` cells and `pixels` pixels. Returns the pixel range [start, stop), and for each pixel the lower
    one of the two cells it lies between and the weight of the other.
    """
    start, stop = (int(pixel) for pixel in _pixels_reached(first, last, cells, pixels))
    position = np.clip((np.arange(start, stop) + 0.5) * (cells / pixels) - 0.5, 0, cells - 1)
    low = position.astype(np.intp)
    return start, stop, low, (position - low).astype(np.float32)


def _pixels_reached(
    first: ArrayLike, last: ArrayLike, cells: int, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The whole pixels [start, stop) that cells [first, last] can influence, along axes of so many cells and pixels."""
    scale = cells / pixels
    # A pixel centre at (p + 0.5) * scale - 0.5 reaches cell c when it lies within one cell of it.
    start = np.maximum(0, np.floor((np.asarray(first) - 0.5) / scale - 0.5))
    stop = np.minimum(pixels, np.ceil((np.asarray(last) + 1.5) / scale - 0.5))
    return start, np.maximum(start, stop)  # an image may skip cells: none then
