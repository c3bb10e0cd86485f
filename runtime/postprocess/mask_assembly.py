"""From prototypes and mask coefficients to cropped mask probabilities, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yolact.runtime.images.arrays import BoolArray, FloatArray

CROP_PADDING = 1
"""Cells of the prototype grid that a crop keeps around the box on each side."""


def assemble_masks(prototypes: FloatArray, coefficients: FloatArray, boxes: FloatArray) -> FloatArray:
    """Mask probabilities (D, Hp, Wp) float32: sigmoid of the prototypes' linear combination, 0 outside the boxes.

    Args:
        prototypes: (K, Hp, Wp) float32.
        coefficients: (D, K) float32.
        boxes: (D, 4) float32 xyxy relative to the network input, x1 <= x2 and y1 <= y2 as decoding gives them.

    Source: paper equation 1; official layers/output_utils.py `postprocess`.
    """
    masks = np.zeros((len(boxes), *prototypes.shape[1:]), np.float32)
    for mask, weights, (rows, columns) in zip(masks, coefficients, _regions(boxes, masks.shape[1:]), strict=True):
        # Not by a product of matrices: after it, threads of NumPy's library would keep cores from the network a while.
        mask[rows, columns] = sigmoid(np.einsum("k,khw->hw", weights, prototypes[:, rows, columns]))
    return masks


def sigmoid(logits: FloatArray) -> FloatArray:
    """Probabilities of mask logits, in the same shape."""
    with np.errstate(over="ignore"):  # exp(-x) of a very negative logit is inf, its sigmoid 0
        return np.float32(1) / (np.float32(1) + np.exp(-logits))


def cells_inside(boxes: FloatArray, grid: tuple[int, ...]) -> BoolArray:
    """(D, Hp, Wp) bool: which cells of a grid (Hp, Wp) a crop to each box (D, 4) keeps, padding included."""
    height, width = grid
    rows = _between(boxes[:, 1], boxes[:, 3], height)[:, :, None]
    columns = _between(boxes[:, 0], boxes[:, 2], width)[:, None, :]
    return rows & columns


def _regions(boxes: FloatArray, grid: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """The rows and columns of `cells_inside` for each box."""
    rows = _between(boxes[:, 1], boxes[:, 3], grid[0])
    columns = _between(boxes[:, 0], boxes[:, 2], grid[1])
    ends = (end for cells in (rows, columns) for end in (cells.argmax(axis=1), cells.sum(axis=1)))
    for top, height, left, width in zip(*(end.tolist() for end in ends), strict=True):
        yield slice(top, top + height), slice(left, left + width)


def _between(start: FloatArray, stop: FloatArray, cells: int) -> BoolArray:
    """(D, cells) bool: which cells lie in [start, stop) widened by the padding; limits are not rounded.

    Source: official layers/box_utils.py `crop`.
    """
    with np.errstate(over="ignore"):  # a box may reach as far as floats do
        low = start * np.float32(cells) - CROP_PADDING
        high = stop * np.float32(cells) + CROP_PADDING
    cell = np.arange(cells, dtype=np.float32)
    return (cell >= low[:, None]) & (cell < high[:, None])
