"""Binary masks as COCO run-length encoding and polygons, made from the region that holds the instance."""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import BoolArray
from yolact.runtime.images.geometry import Region


class Rle(TypedDict):
    """COCO compressed RLE: `size` is [height, width], `counts` the ASCII string pycocotools reads."""

    size: list[int]
    counts: str


def encode_rle(mask: BoolArray, region: Region, image_size: tuple[int, int]) -> Rle:
    """Run-length encode a mask given inside `region` of an image of `image_size` (height, width).

    Runs go down the columns, as COCO counts them. Source: pycocotools `rleEncode` and `rleToString`.
    """
    return {"size": list(image_size), "counts": _compress(_run_lengths(mask, region, image_size))}


def decode_rle(rle: Rle) -> tuple[Region, BoolArray]:
    """The mask of a COCO compressed RLE: the smallest region that holds it, and the bool mask (h, w) inside.

    An empty mask has the region of no pixels at (0, 0). Memory follows the columns that the mask reaches.
    Raises ValueError where the runs are not in COCO's text form or do not fill the image.
    """
    height, width = rle["size"]
    lengths = _expand(rle["counts"])
    ends = np.cumsum(lengths)
    if (lengths < 0).any() or height < 0 or width < 0 or (int(ends[-1]) if len(ends) else 0) != height * width:
        raise ValueError(f"the runs of a mask do not fill {width} x {height} pixels")
    starts, stops = ends[:-1:2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    if len(starts) == 0:
        return Region(0, 0, 0, 0), np.zeros((0, 0), np.bool_)
    left, right = int(starts[0]) // height, (int(stops[-1]) - 1) // height + 1
    changes = np.zeros((right - left) * height + 1, np.int8)
    changes[starts - left * height] += 1
    changes[stops - left * height] -= 1
    mask = np.cumsum(changes[:-1], dtype=np.int8).astype(np.bool_).reshape(right - left, height).T
    rows = np.flatnonzero(mask.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return Region(top, left, bottom, right), mask[top:bottom]


def _expand(counts: str) -> NDArray[np.int64]:
    """The run lengths in COCO's text form, inverse of `_compress`. Raises ValueError for characters that are none."""
    lengths: list[int] = []
    value = shift = 0
    for character in counts.encode("ascii", "replace"):
        bits = character - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("the runs of a mask are not in COCO's text form")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("the runs of a mask are cut off")
    return np.array(lengths, np.int64)


def _run_lengths(mask: BoolArray, region: Region, image_size: tuple[int, int]) -> NDArray[np.int64]:
    """Alternating lengths of zeros and ones in column-major order, starting with zeros."""
    height, width = image_size
    # A zero row above and below makes every column start and end outside the mask.
    columns = np.zeros((region.shape[1], region.shape[0] + 2), np.int8)
    columns[:, 1:-1] = mask.T
    column, row = np.nonzero(np.diff(columns, axis=1))
    edges = (column + region.left) * height + row + region.top
    # A run that leaves one column at the bottom and enters the next at the top is one run.
    repeated = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, np.concatenate([repeated, repeated + 1]))
    lengths = np.diff(np.concatenate([[0], edges, [height * width]]))
    return lengths[:-1] if lengths[-1] == 0 and len(lengths) > 1 else lengths


def _compress(lengths: NDArray[np.int64]) -> str:
    """COCO's text form: each length past the second as a difference to the one two before, 5 bits a character."""
    differences = lengths.copy()
    differences[3:] -= lengths[1:-2]
    characters = bytearray()
    for value in differences.tolist():
        while True:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            characters.append(48 + (bits | 0x20 if more else bits))
            if not more:
                break
    return characters.decode("ascii")


def trace_polygons(mask: BoolArray, region: Region) -> list[list[float]]:
    """Outer contours as COCO polygons [x1, y1, x2, y2, ...] in image pixels; holes are filled.

    Contours go through the centres of border pixels. Where they would enclose nothing, as those of single pixels and
    of lines one pixel thin, they go around the pixels instead.
    """
    offset = np.array([region.left, region.top])
    outlines = [outline for contour in _outer_contours(mask) for outline in _enclosing(contour)]
    return [(outline + offset).astype(float).ravel().tolist() for outline in outlines]


def _outer_contours(mask: BoolArray) -> list[NDArray[np.int32]]:
    """Points (n, 2) as x, y."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [np.asarray(contour, np.int32).reshape(-1, 2) for contour in contours]


def _enclosing(contour: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """The contour, or, where no 2 x 2 pixels lie in it, the outline of its pixels along their edges."""
    if 2 * cv2.contourArea(contour) > len(contour):  # where a line turns, its contour cuts off half a pixel
        return [contour]
    origin = contour.min(axis=0)
    width, height = contour.max(axis=0) - origin + 1
    pixels = np.zeros((height, width), np.uint8)
    cv2.drawContours(pixels, [contour - origin], -1, 1, cv2.FILLED)
    if (pixels[1:, 1:] & pixels[1:, :-1] & pixels[:-1, 1:] & pixels[:-1, :-1]).any():
        return [contour]
    # Each pixel sets its four corners: the contour of these is the outline of the pixels.
    corners = np.zeros((height + 1, width + 1), np.bool_)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corners[down : down + height, right : right + width] |= pixels > 0
    return [outline + origin for outline in _outer_contours(corners)]
