"""Geometry, masks on demand, encodings."""

from __future__ import annotations

from typing import Any

import missing
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco

from yolact.runtime.detections import Detections
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.images.packed_masks import PackedMask
from yolact.runtime.postprocess.mask_assembly import cells_inside

IMAGE_SIZES = [(1, 1), (7, 300), (138, 138), (480, 640), (721, 1280), (61, 40)]


def blobs(count: int, seed: int, size: int = 138) -> np.ndarray:
    """Smooth probabilities cropped to boxes, some touching the borders, one empty where there are several."""
    rng = np.random.default_rng(seed)
    noise = torch.from_numpy(rng.random((1, max(count, 1), 9, 9), np.float32))
    smooth = F.interpolate(noise, (size, size), mode="bicubic", align_corners=False)[0, :count].clamp(0, 1).numpy()
    for mask in smooth:
        top, left = rng.integers(0, size - 3, 2)
        keep = np.zeros((size, size), bool)
        keep[top : top + rng.integers(3, size), left : left + rng.integers(3, size)] = True
        mask[~keep] = 0
    if count > 1:
        smooth[1] = 0
    return smooth


NAMES = ("person", "dog", "traffic light")


def detections(count: int, image_size: tuple[int, int], seed: int = 0, *, rescored: bool = False) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(
        boxes=rng.random((count, 4), np.float32),
        scores=np.sort(rng.random(count, np.float32))[::-1],
        class_ids=rng.integers(0, 3, count).astype(np.int32),
        mask_scores=rng.random(count, np.float32) if rescored else None,
        mask_probabilities=blobs(count, seed),
        transform=ImageTransform(image_size),
        names=NAMES,
    )


def upsampled(probabilities: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """What the official code does: everything, at full size, in floating point."""
    scaled = F.interpolate(torch.from_numpy(probabilities)[None], image_size, mode="bilinear", align_corners=False)
    return scaled[0].numpy()


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_masks_are_those_of_a_full_upsampling(image_size: tuple[int, int]) -> None:
    found = detections(6, image_size)
    reference = upsampled(found.mask_probabilities, image_size)
    differs = found.masks != (reference > 0.5)
    assert not differs[np.abs(reference - 0.5) > 1e-5].any()
    assert found.masks.dtype == bool and found.masks.shape == (6, *image_size)
    assert not found.masks[1].any()


def test_a_pixel_at_the_threshold_is_not_set() -> None:
    probabilities = np.ones((4, 4), np.float32)
    probabilities[:, 1] = 0  # each pixel is the mean of two by two cells
    region, mask = ImageTransform((2, 2)).upsample_mask(probabilities)
    assert region.shape == (2, 2) and mask.tolist() == [[False, True], [False, True]]


def test_a_mask_costs_only_its_region() -> None:
    probabilities = np.zeros((138, 138), np.float32)
    probabilities[10:14, 100:103] = 0.9
    region, mask = ImageTransform((3000, 4000)).upsample_mask(probabilities)
    assert mask.shape == region.shape
    assert region.shape[0] < 6 / 138 * 3000 + 2 and region.shape[1] < 5 / 138 * 4000 + 2
    assert mask.any()


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_rle_is_what_pycocotools_writes(image_size: tuple[int, int]) -> None:
    found = detections(6, image_size, seed=1)
    for rle, mask in zip(found.rle(), found.masks, strict=True):
        expected = coco.encode(np.asfortranarray(mask))
        assert rle == {"size": list(image_size), "counts": expected["counts"].decode()}


def test_rle_of_a_mask_that_fills_the_image() -> None:
    found = detections(1, (9, 11))
    found.mask_probabilities[:] = 1
    expected = coco.encode(np.asfortranarray(np.ones((9, 11), np.uint8)))
    assert found.rle()[0]["counts"] == expected["counts"].decode()


@pytest.mark.parametrize("rows", [slice(None), slice(0, 3), slice(5, 9), slice(0, 1)])
def test_rle_joins_runs_that_wrap_around_columns(rows: slice) -> None:
    found = detections(1, (9, 11))
    found.mask_probabilities[:] = 0
    found.mask_probabilities[0, int(138 * (rows.start or 0) / 9) : int(138 * (rows.stop or 9) / 9), 30:110] = 1
    expected = coco.encode(np.asfortranarray(found.masks[0]))
    assert found.masks[0].any() and found.rle()[0]["counts"] == expected["counts"].decode()


def test_polygons_cover_the_mask() -> None:
    found = detections(6, (480, 640))
    for polygons, mask in zip(found.polygons(), found.masks, strict=True):
        drawn = np.zeros(mask.shape, bool)
        for polygon in polygons:
            assert len(polygon) >= 6 and len(polygon) % 2 == 0
            drawn |= coco.decode(coco.frPyObjects([polygon], *mask.shape))[..., 0].astype(bool)
        if mask.sum() > 500:
            # pycocotools draws a contour's pixels half outside, and outer contours fill holes.
            assert (drawn & mask).sum() / mask.sum() > 0.9
        assert mask.any() or not polygons


def test_polygons_fill_holes() -> None:
    found = detections(1, (138, 138))
    found.mask_probabilities[0] = 0
    found.mask_probabilities[0, 20:80, 20:80] = 1
    found.mask_probabilities[0, 40:60, 40:60] = 0
    assert not found.masks[0, 50, 50] and len(found.polygons()[0]) == 1


def test_boxes_are_clamped_to_the_image() -> None:
    relative = np.array([[-0.1, 0.25, 0.5, 1.2], [1.1, 0, 1.3, 0.5], [-0.3, -0.2, -0.1, 0]], np.float32)
    pixels = ImageTransform((100, 200)).boxes_to_image(relative)
    np.testing.assert_allclose(pixels, [[0, 25, 100, 100], [200, 0, 200, 50], [0, 0, 0, 0]], atol=1e-5)
    assert pixels.dtype == np.float32


def test_select_ranks_by_score() -> None:
    found = detections(20, (48, 64))
    chosen = found.select(score_threshold=float(found.scores[9]), top_k=5)
    np.testing.assert_array_equal(chosen.scores, found.scores[:5])
    assert len(found.select(score_threshold=float(found.scores[9]))) == 9  # strictly above
    assert set(found.select(class_ids=[2]).class_ids) == {2}
    assert len(found.select(score_threshold=1.0)) == 0


def test_select_ranks_by_mask_score_where_there_is_one() -> None:
    found = detections(20, (48, 64), rescored=True)
    assert found.mask_scores is not None
    chosen = found.select(score_threshold=0.4)
    expected = sorted((m for m, s in zip(found.mask_scores, found.scores, strict=True) if s > 0.4 and m >= 0.4))[::-1]
    np.testing.assert_array_equal(chosen.mask_scores, expected)
    assert 0 < len(expected) < (found.scores > 0.4).sum()
    np.testing.assert_array_equal(chosen.ranking_scores, chosen.mask_scores)
    # The detection score must exceed the threshold, the mask score reach it.
    at_threshold = found.select(score_threshold=float(expected[-1]))
    assert at_threshold.mask_scores is not None and at_threshold.mask_scores[-1] == expected[-1]


@pytest.mark.parametrize("rescored", [False, True])
def test_supervision_gets_the_same_arrays(rescored: bool) -> None:
    supervision = pytest.importorskip("supervision", reason=missing.SUPERVISION)
    found = detections(4, (48, 64), rescored=rescored)
    converted = found.to_supervision()
    assert isinstance(converted, supervision.Detections)
    np.testing.assert_array_equal(converted.xyxy, found.boxes)
    np.testing.assert_array_equal(converted.mask, found.masks)
    np.testing.assert_array_equal(converted.confidence, found.ranking_scores)
    np.testing.assert_array_equal(converted.class_id, found.class_ids)
    assert converted["class_name"].tolist() == [NAMES[class_id] for class_id in found.class_ids]
    assert len(found[:0].to_supervision()) == 0 and len(converted[converted["class_name"] == "dog"]) == (
        found.class_ids.tolist().count(1)
    )


def test_indices_of_any_kind() -> None:
    found = detections(5, (48, 64), rescored=True)
    np.testing.assert_array_equal(found[3].scores, found.scores[3:4])
    np.testing.assert_array_equal(found[-1].boxes, found.boxes[4:])
    np.testing.assert_array_equal(found[[4, 0]].class_ids, found.class_ids[[4, 0]])
    np.testing.assert_array_equal(found[found.scores > found.scores[2]].scores, found.scores[:2])
    assert len(found[1:3]) == 2 and len(found[[]]) == 0 and len(found[np.zeros(5, bool)]) == 0
    with pytest.raises(IndexError):
        found[5]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"top_k": -1}, ValueError, "top_k must not be negative"),
        *(({"top_k": one}, TypeError, "top_k must be a whole number or None") for one in (1.5, "x", True)),
        ({"score_threshold": float("nan")}, ValueError, "score_threshold must be a number, got nan"),
        *(({"score_threshold": one}, TypeError, "score_threshold must be a number") for one in (None, "0.5", [0.5])),
        *(
            ({"class_ids": one}, TypeError, "class_ids must be whole numbers")
            for one in ("dog", ["dog"], [1.5], [None])
        ),
        ({"class_ids": 3}, TypeError, "not iterable"),
    ],
)
def test_what_cannot_be_selected(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        detections(5, (48, 64)).select(**wrong)


def test_numbers_of_numpy_select() -> None:
    found = detections(5, (48, 64))
    assert len(found.select(np.float32(0), np.int64(2), found.class_ids)) == 2


def test_no_detections() -> None:
    found = detections(0, (48, 64))
    assert len(found) == 0 and found.masks.shape == (0, 48, 64)
    assert found.rle() == [] and found.polygons() == []
    assert len(found.select(0.5, 3)) == 0


def test_names_stay_with_their_detections() -> None:
    found = detections(20, (48, 64))
    chosen = found.select(class_ids=[2, 0])[::-1]
    assert chosen.names == NAMES and set(chosen.class_names) == {"person", "traffic light"}
    assert [NAMES.index(name) for name in chosen.class_names] == chosen.class_ids.tolist()
    arrays = vars(found) | {"names": ()}
    assert set(Detections(**arrays).class_names) == {"class_0", "class_1", "class_2"}
    assert Detections(**arrays).select(top_k=3).class_names == tuple(f"class_{i}" for i in found.class_ids[:3])
    for ids in ([0, 3], [-1, 1]):
        arrays = vars(detections(2, (48, 64))) | {"class_ids": np.array(ids, np.int32)}
        with pytest.raises(ValueError, match=r"class_ids must be from 0 to 2 .* got (0 to 3|-1 to 1)$"):
            Detections(**arrays)


def test_printed_detections_are_a_few_lines() -> None:
    found = Detections(
        boxes=np.array([[12.4, 30, 220.1, 470.9], [0, 0, np.nan, 5]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        class_ids=np.array([2, 1], np.int32),
        mask_scores=np.array([0.126, 0.5], np.float32),
        mask_probabilities=np.zeros((2, 4, 4), np.float32),
        transform=ImageTransform((480, 640)),
        names=NAMES,
    )
    assert repr(found) == "<Detections: 1 traffic light, 1 dog in an image 640 wide and 480 high>"
    assert str(found).splitlines() == [
        "Detections: 1 traffic light, 1 dog in an image 640 wide and 480 high:",
        "  traffic light  0.13  (12, 30) to (220, 471), 208 wide and 441 high",
        "  dog            0.50  (0, 0) to (nan, 5), nan wide and 5 high",
    ]
    hostile = Detections(**vars(found) | {"names": ("", "a\n\x1b[2J", "b")})
    assert str(hostile).splitlines()[1:] == [
        "  b           0.13  (12, 30) to (220, 471), 208 wide and 441 high",
        "  a\\n\\x1b[2J  0.50  (0, 0) to (nan, 5), nan wide and 5 high",
    ]
    assert "\x1b" not in repr(hostile) + str(hostile)
    assert str(found[:0]) == "Detections: no detections in an image 640 wide and 480 high"


@pytest.mark.parametrize(
    ("count", "lines", "last"), [(15, 16, "  "), (16, 17, "  ... and 1 more"), (100, 17, "  ... and 85 more")]
)
def test_many_detections_are_cut(count: int, lines: int, last: str) -> None:
    text = str(detections(count, (48, 64)))
    assert len(text.splitlines()) == lines and text.splitlines()[-1].startswith(last) and len(text) < 2000
    assert "\n" not in repr(detections(count, (48, 64)))


REJECTED = {
    "boxes": np.zeros((2, 5), np.float32),
    "scores": np.zeros((2, 1), np.float32),
    "class_ids": np.zeros(3, np.int32),
    "mask_scores": np.zeros(1, np.float32),
    "mask_probabilities": np.zeros((3, 4, 4), np.float32),
}
BITS = (PackedMask(Region(0, 0, 0, 0), np.zeros((0, 0), np.uint8)),)


@pytest.mark.parametrize(
    ("masks", "sentence"),
    [
        ({"mask_bits": 2 * BITS}, "expected either mask_probabilities or mask_bits, got both"),
        ({"mask_probabilities": None}, "expected either mask_probabilities or mask_bits, got none"),
        (
            {"mask_probabilities": None, "mask_bits": BITS},
            r"mask_bits must have shape \(2,\) to go with 2 scores, got \(1,\)",
        ),
    ],
)
def test_masks_are_of_one_kind(masks: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        Detections(**vars(detections(2, (48, 64))) | masks)


@pytest.mark.parametrize("image_size", [(48, 64), (7, 301), (300, 9), (1, 1)])
def test_regions_of_boxes_hold_those_of_masks(image_size: tuple[int, int]) -> None:
    """The region that a mask may need at most, one that fills its crop, lies in that of its box."""
    rng = np.random.default_rng(3)
    boxes = np.sort(rng.uniform(-0.5, 1.5, (300, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    transform, grid = ImageTransform(image_size), (23, 30)
    masks = cells_inside(boxes, grid).astype(np.float32)
    regions = transform.mask_regions(boxes, grid, 1)
    assert regions.dtype == np.int32 and (regions >= 0).all() and (regions[:, 2:] <= image_size).all()
    assert (regions[:, :2] <= regions[:, 2:]).all()
    for (top, left, bottom, right), mask in zip(regions.tolist(), masks, strict=True):
        needed = transform.upsample_mask(mask)[0]
        if 0 not in needed.shape:
            assert top <= needed.top <= needed.bottom <= bottom and left <= needed.left <= needed.right <= right
    inside = (boxes > 0.2).all(axis=1) & (boxes < 0.8).all(axis=1)
    larger = (regions[inside, 2:] - regions[inside, :2]) - (boxes[inside, 2:] - boxes[inside, :2])[:, ::-1] * image_size
    assert inside.any() and (larger <= 2 + 5 * np.array(image_size) / grid).all()


@pytest.mark.parametrize("field", REJECTED)
def test_arrays_that_do_not_belong_together_are_rejected(field: str) -> None:
    arrays = vars(detections(2, (48, 64), rescored=True)) | {field: REJECTED[field]}
    with pytest.raises(ValueError, match="must have shape"):
        Detections(**arrays)
