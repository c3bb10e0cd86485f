"""Polygons of masks, against pycocotools' rasterising: thin ones stand for pixels as well."""

from __future__ import annotations

import missing
import numpy as np
import pytest

from yolact.runtime.images.geometry import Region
from yolact.runtime.images.mask_encoding import trace_polygons

coco = pytest.importorskip("pycocotools.mask", reason=missing.PYCOCOTOOLS)

SHAPES = {
    "a pixel": ["#"],
    "a row": ["#####"],
    "a column": ["#", "#", "#"],
    "a diagonal": ["#...", ".#..", "..#.", "...#"],
    "the other diagonal": ["..#", ".#.", "#.."],
    "an angle": ["#....", "#....", "#####"],
    "a cross": ["..#..", "..#..", "#####", "..#.."],
    "a zigzag": ["##....", ".##...", "..####"],
    "two pixels apart": ["#..#"],
    "a row and a pixel": ["####.", ".....", "....#"],
}
EXACT = {"a pixel", "a row", "a column", "two pixels apart", "a row and a pixel"}


@pytest.mark.parametrize("where", [(0, 0), (3, 2), (6, 4)], ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_masks_one_pixel_thin(name: str, where: tuple[int, int]) -> None:
    shape = np.array([[pixel == "#" for pixel in row] for row in SHAPES[name]])
    top, left = where
    height, width = top + shape.shape[0], left + shape.shape[1]  # it touches the image's lower right corner
    mask = np.zeros((height, width), np.bool_)
    mask[top:, left:] = shape
    region = Region(top, left, height, width)
    polygons = trace_polygons(shape, region)
    assert polygons and polygons == trace_polygons(mask, Region(0, 0, height, width))
    drawn = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        assert len(polygon) >= 6 and min(polygon) >= 0
        assert max(polygon[::2]) <= width and max(polygon[1::2]) <= height
        drawn |= coco.decode(coco.frPyObjects([polygon], height, width))[..., 0].astype(bool)
    assert drawn[mask].all(), "every pixel is inside"
    assert (drawn & ~mask).sum() <= (0 if name in EXACT else mask.sum())


def test_a_mask_with_room_inside_keeps_the_centres_of_its_border() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[2:7, 3:8] = True
    ((*polygon,),) = trace_polygons(mask, Region(10, 20, 19, 29))
    corners = {(23, 12), (23, 16), (27, 16), (27, 12)}
    assert set(zip(polygon[::2], polygon[1::2], strict=True)) == corners
    assert trace_polygons(np.zeros((4, 5), np.bool_), Region(0, 0, 4, 5)) == []
