"""Polygons of masks, against pycocotools' rasterising: thin ones stand for pixels as well; and run lengths read."""

from __future__ import annotations

import missing
import numpy as np
import pytest

from yolact.runtime.images.geometry import Region
from yolact.runtime.images.mask_encoding import decode_rle, trace_polygons

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


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (120, 1), (1, 120), (64, 90)], ids=str)
@pytest.mark.parametrize("filled", [0.0, 0.02, 0.5, 1.0])
def test_run_lengths_of_pycocotools_are_read(size: tuple[int, int], filled: float) -> None:
    mask = np.random.default_rng(size[0]).random(size) < filled
    counts = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    region, inside = decode_rle({"size": list(size), "counts": counts})
    found = np.zeros(size, np.bool_)
    found[region.slices] = inside
    assert np.array_equal(found, mask)
    if mask.any():
        assert inside.any(axis=0)[[0, -1]].all() and inside.any(axis=1)[[0, -1]].all()  # no smaller region holds it
    else:
        assert region == Region(0, 0, 0, 0)


@pytest.mark.parametrize("counts", ["", "1", "12", "Q", "T", "`", "1`", "é", "0000", "o" * 9, "123456789", " "])
def test_other_run_lengths(counts: str) -> None:
    with pytest.raises(ValueError, match="the runs of a mask"):
        decode_rle({"size": [6, 7], "counts": counts})
