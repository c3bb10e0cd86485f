"""Segmentations in COCO's format: polygons or run lengths, checked, and the masks they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.training.data.coco.boxes import Box, Size, check_inside, check_pixels
from yolact.training.data.coco.faults import Fault, Misfit
from yolact.training.data.coco.json_values import is_nothing, read_numbers, read_whole, shown, unquoted
from yolact.training.data.coco.run_lengths import extent_of_runs, read_runs

LONGEST_OUTLINE = 2_000_000
"""Pixels along the outlines of an object at most: pycocotools takes 40 bytes for each."""


class Extent(NamedTuple):
    """The extent of a mask: the box around its pixels, None where it has none, and their number."""

    box: Box | None
    area: float


class Segmentation(NamedTuple):
    """A segmentation for pycocotools.

    Attributes:
        encoded: polygons [[x1, y1, x2, y2, ...], ...] or {"size", "counts"}; None where nothing is outlined.
        mask: where the mask is; of polygons estimated from their points, and no box if they may enclose nothing.
        dropped: parts of one or two points that were left out.
    """

    encoded: Any
    mask: Extent = Extent(None, 0)
    dropped: int = 0

    @property
    def is_estimated(self) -> bool:
        """Whether `extent_of` knows it better."""
        return isinstance(self.encoded, list)


def read_segmentation(value: Any, size: Size) -> Segmentation:
    """Check the segmentation of an annotation on an image of this size.

    Values with a single meaning are taken: a run-length encoding inside lists, several of them as parts of one mask, a
    polygon without the list around it or with more, points as pairs, as {"x", "y"} or as VIA lists them, a missing
    size, all of it written as text.

    Raises Fault where it is malformed, or does not lie in its image.
    """
    given = unquoted(value)
    parts = [given] if isinstance(given, dict) else [] if is_nothing(given) else _without_lists_around(given)
    if not isinstance(parts, list | tuple):
        raise Fault(f"has {shown(value)} as segmentation; expected polygons or a run-length encoding")
    parts = [_alone(unquoted(part)) for part in parts if not is_nothing(part)]
    if parts and all(isinstance(part, dict) and part.keys() & {"counts", "size"} for part in parts):
        return _read_runs([part for part in parts if not is_nothing(part.get("counts"))], size)
    polygons = [_read_polygon(part) for part in _parts(parts)]
    whole = [polygon for polygon in polygons if len(polygon) >= 6]
    dropped = len(polygons) - len(whole)
    return Segmentation(whole, _estimate(whole, size), dropped) if whole else Segmentation(None, dropped=dropped)


def _read_runs(parts: Sequence[dict[str, Any]], size: Size) -> Segmentation:
    """One mask of so many run-length encodings."""
    read = [_read_part(part, size) for part in parts]
    if not read:
        return Segmentation(None)
    if len(read) == 1:
        return Segmentation(*read[0])
    from pycocotools import mask as coco_mask

    merged = coco_mask.merge([_compressed(encoded) for encoded, _ in read])
    return Segmentation(*_read_part({"counts": merged["counts"].decode()}, size))


def _read_part(value: dict[str, Any], size: Size) -> tuple[dict[str, Any], Extent]:
    height, width = size
    given = unquoted(value.get("size"))
    sides = given if isinstance(given, list | tuple) else [None, None] if is_nothing(given) else []
    known = [own if is_nothing(side) else read_whole(side) for side, own in zip(sides, size, strict=False)]
    if len(sides) != 2 or known != [height, width]:
        raise Misfit(
            f"has a mask of [height, width] {shown(given)}, but its image has {[height, width]}; encode it again at "
            "the size of the image"
        )
    counts, runs = read_runs(value.get("counts"), height * width)
    return {"size": [height, width], "counts": counts}, Extent(*extent_of_runs(runs, height))


def _without_lists_around(value: Any) -> Any:
    """The polygons, or any other value, without lists around them that hold nothing else."""
    while isinstance(value, list) and len(value) == 1 and _holds_lists(value[0]):
        (value,) = value
    return value


def _holds_lists(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, list | dict) for part in value)


def _alone(part: Any) -> Any:
    """The object in a list that holds nothing else; VIA's lists of coordinates as points; all else as it is."""
    if isinstance(part, list) and len(part) == 1 and isinstance(part[0], dict):
        (part,) = part
    if isinstance(part, dict) and {"all_points_x", "all_points_y"} <= part.keys():
        xs, ys = part["all_points_x"], part["all_points_y"]
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise Fault("has a polygon whose all_points_x and all_points_y are no lists of the same length")
        return [list(point) for point in zip(xs, ys, strict=True)]
    return part


def _parts(value: Any) -> Any:
    """The polygons, also where the list around a single one is missing."""
    is_single = not any(isinstance(part, list | tuple | dict) for part in value)
    are_points = len(value) > 2 and all(_is_point(part) for part in value)
    return [value] if value and (is_single or are_points) else value


def _is_point(part: Any) -> bool:
    """Whether it is the two coordinates of a point: a polygon has three points."""
    if isinstance(part, dict):
        return {"x", "y"} <= part.keys()
    return isinstance(part, list | tuple) and len(part) == 2 and not any(isinstance(v, list | dict) for v in part)


def _read_polygon(part: Any) -> Sequence[float]:
    if not isinstance(part, list | tuple):
        raise Fault(f"has {shown(part)} as a polygon; expected [x1, y1, x2, y2, x3, y3, ...]")
    if set(map(type, part)) <= {int, float}:
        flat = part
    elif any(map(_is_point, part)):
        part = [point for point in part if not is_nothing(point)]
        pairs = ((p["x"], p["y"]) if isinstance(p, dict) else p for p in part if _is_point(p))
        flat = [value for pair in pairs for value in pair] if all(map(_is_point, part)) else []
    else:
        flat = list(part)
    numbers = read_numbers(flat)
    if numbers is None:
        raise Fault("has a polygon with coordinates that are no numbers")
    if len(numbers) % 2 or len(flat) < len(part):
        raise Fault(f"has {shown(part)} as a polygon; expected polygons [x1, y1, x2, y2, x3, y3, ...]")
    return numbers


def _estimate(polygons: Sequence[Sequence[float]], size: Size) -> Extent:
    """The extent of polygons' mask, from their points alone, which is much quicker than rasterising them.

    Raises Fault where they leave the image, or go so often around that rasterising them would need much memory.
    """
    area = length = 0.0
    if polygons and all(max(polygon) < 2 for polygon in polygons):
        check_pixels([value for polygon in polygons for value in polygon], size)
    left = top = math.inf
    right = bottom = -math.inf
    for polygon in polygons:
        xs, ys = polygon[::2], polygon[1::2]
        check_inside(xs, ys, size, "an outline")
        left, top, right, bottom = min(left, *xs), min(top, *ys), max(right, *xs), max(bottom, *ys)
        doubled, x0, y0 = 0.0, xs[-1], ys[-1]
        for x, y in zip(xs, ys, strict=True):
            doubled += x0 * y - x * y0
            length += abs(x - x0) + abs(y - y0)
            x0, y0 = x, y
        area += abs(doubled) / 2
    if length > LONGEST_OUTLINE:
        raise Fault(f"has outlines of {length:.0f} pixels in all; expected at most {LONGEST_OUTLINE}")
    is_thin = area <= length  # its width is about twice the ratio, so there may be no pixel's centre in it
    return Extent(None if is_thin else (left, top, right - left, bottom - top), area)


def extent_of(encoded: Any, size: Size) -> Extent:
    """The exact extent of the mask of a segmentation that was checked."""
    counts = (encoded if isinstance(encoded, dict) else _compressed_polygons(encoded, size))["counts"]
    return Extent(*extent_of_runs(read_runs(counts, size[0] * size[1])[1], size[0]))


def decode(encoded: Any, size: Size) -> NDArray[np.uint8]:
    """The mask (H, W) uint8 of 0 and 1 of a segmentation that was checked, rasterised as pycocotools does."""
    from pycocotools import mask as coco_mask

    decoded: NDArray[np.uint8] = coco_mask.decode(compressed(encoded, size))
    return decoded


def compressed(encoded: Any, size: Size) -> dict[str, Any]:
    """The mask of a segmentation that was checked as pycocotools' compressed run-length encoding."""
    return _compressed(encoded) if isinstance(encoded, dict) else _compressed_polygons(encoded, size)


def _compressed_polygons(polygons: Sequence[Sequence[float]], size: Size) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    merged: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
    return merged


def _compressed(encoded: dict[str, Any]) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    if not isinstance(encoded["counts"], list):
        return encoded
    compressed: dict[str, Any] = coco_mask.frPyObjects(encoded, *encoded["size"])
    return compressed
