"""Augmentation: what is drawn stays where it is, and choices come as often as in the official code."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from yolact.runtime.errors import UsageError
from yolact.training.data.augmentation import (
    augment,
    distort_colours,
    expand,
    random_crop,
    random_mirror,
    random_turn,
    stretch,
)
from yolact.training.data.datasets import Sample
from yolact.training.models.configs import MEAN_COLOUR

SIZE = (90, 140)
BOXES = np.array([[10, 20, 40, 60], [60, 5, 135, 30], [70, 50, 90, 88]], np.float32)
CROWD = np.array([[100, 40, 139, 89]], np.float32)


@pytest.fixture
def sample() -> Sample:
    """Three boxes, each in a colour of its own on black, so that the image tells where its masks should be."""
    image = np.zeros((*SIZE, 3), np.float32)
    masks = np.zeros((len(BOXES), *SIZE), np.uint8)
    for index, (x1, y1, x2, y2) in enumerate(BOXES.astype(int)):
        image[y1:y2, x1:x2] = 60 * (index + 1)
        masks[index, y1:y2, x1:x2] = 1
    return Sample(image, BOXES, np.array([2, 0, 1]), masks, CROWD)


def assert_consistent(sample: Sample) -> None:
    """Masks lie where their colour is, and boxes around the masks."""
    for class_id, mask, box in zip(sample.class_ids, sample.masks, sample.boxes, strict=True):
        colour = {2: 60, 0: 120, 1: 180}[int(class_id)]
        np.testing.assert_array_equal(mask.astype(bool), sample.image[..., 0] == colour)
        assert (mask == 1).any()
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("step", [expand, random_crop, random_mirror, random_turn])
def test_geometry_keeps_image_masks_and_boxes_together(sample: Sample, step: object) -> None:
    fill = (MEAN_COLOUR,) if step is expand else ()
    sizes = set()
    for seed in range(200):
        changed = step(sample, np.random.default_rng(seed), *fill)  # type: ignore[operator]
        assert_consistent(changed)
        sizes.add(changed.image.shape)
        assert len(changed.boxes) == len(changed.class_ids) == len(changed.masks) > 0
    assert len(sizes) > 50 if step in (expand, random_crop) else len(sizes) == 1 + (step is random_turn)


def test_mirroring_by_hand(sample: Sample) -> None:
    mirrored = next(m for s in range(9) if (m := random_mirror(sample, np.random.default_rng(s))) is not sample)
    assert mirrored.boxes[0].tolist() == [100, 20, 130, 60]
    assert mirrored.crowd_boxes[0].tolist() == [1, 40, 40, 89]
    np.testing.assert_array_equal(mirrored.image[:, 0], sample.image[:, -1])


def test_turning_by_hand(sample: Sample) -> None:
    """Every number of quarter turns comes as often as the others; what was at the right is at the top after one."""
    turned = [random_turn(sample, np.random.default_rng([9, seed])) for seed in range(400)]
    corners = [tuple(one.boxes[0].tolist()) for one in turned]
    expected = [(10, 20, 40, 60), (20, 100, 60, 130), (100, 30, 130, 70), (30, 10, 70, 40)]
    assert set(corners) == set(expected)
    assert min(map(corners.count, expected)) > 70
    once = turned[corners.index(expected[1])]
    np.testing.assert_array_equal(once.image[0], sample.image[:, -1])
    assert once.crowd_boxes[0].tolist() == [40, 1, 89, 40]


def test_a_crop_keeps_objects_by_their_centre(sample: Sample) -> None:
    """And a crowd likewise, which alone is no reason for a crop."""
    crowd_kept = 0
    for seed in range(300):
        cropped = random_crop(replace(sample, boxes=BOXES + 0), np.random.default_rng(seed))
        height, width = cropped.image.shape[:2]
        assert height >= 0.3 * SIZE[0] - 1 and width >= 0.3 * SIZE[1] - 1
        assert 0.45 < height / width < 2.2 or cropped.image.shape[:2] == SIZE
        assert len(cropped.boxes) >= 1
        crowd_kept += len(cropped.crowd_boxes)
        assert (cropped.boxes >= 0).all() and (cropped.boxes <= [width, height, width, height]).all()
    assert 0 < crowd_kept < 300


def test_choices_come_as_often_as_in_the_original(sample: Sample) -> None:
    """Expand and mirror half the time, crop five times in six; bounds are 4 standard deviations wide."""
    count = 2000
    generators = [np.random.default_rng([9, seed]) for seed in range(count)]
    changed = {
        "expand": sum(expand(sample, rng, MEAN_COLOUR) is not sample for rng in generators),
        "mirror": sum(random_mirror(sample, rng) is not sample for rng in generators),
        "crop": sum(random_crop(sample, rng) is not sample for rng in generators),
    }
    expected = {"expand": 1 / 2, "mirror": 1 / 2, "crop": 5 / 6}
    for name, share in expected.items():
        assert changed[name] / count == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count)), name


def test_expanding_fills_with_the_mean_colour(sample: Sample) -> None:
    ratios = []
    for seed in range(200):
        wide = expand(sample, np.random.default_rng(seed), MEAN_COLOUR)
        if wide is sample:
            continue
        ratios.append(wide.image.shape[1] / SIZE[1])
        assert wide.image.shape[0] / SIZE[0] == pytest.approx(ratios[-1], abs=0.02)
        corners = [wide.image[0, 0], wide.image[-1, -1], wide.image[0, -1], wide.image[-1, 0]]
        assert sum(np.allclose(corner, MEAN_COLOUR) for corner in corners) >= 3 or ratios[-1] < 1.1
    assert 1 <= min(ratios) < 1.2 and 3.8 < max(ratios) < 4


def test_colours_change_within_the_official_limits() -> None:
    """On a grey ramp only brightness and contrast show: a x + b, or a (x + b), with a in 0.5..1.5 and b in -32..32."""
    ramp = np.repeat(np.linspace(40, 200, 64, dtype=np.float32)[None, :, None], 3, axis=2).repeat(4, axis=0)
    gains, offsets = [], []
    for seed in range(400):
        gain, offset = np.polyfit(ramp[0, :, 0], distort_colours(ramp.copy(), np.random.default_rng(seed))[0, :, 0], 1)
        gains.append(gain)
        offsets.append(offset / gain)
    assert 0.5 <= min(gains) < 0.55 and 1.45 < max(gains) <= 1.5001
    assert -32.1 <= min(offsets) < -28 and 28 < max(offsets) <= 32.1
    assert np.mean(np.isclose(gains, 1, atol=1e-4)) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.isclose(offsets, 0, atol=1e-2)) == pytest.approx(0.5, abs=0.1)


def test_saturation_and_hue_change_within_the_official_limits() -> None:
    colour = np.full((2, 2, 3), (40.0, 90.0, 160.0), np.float32)
    before = cv2.cvtColor(colour, cv2.COLOR_BGR2HSV)[0, 0]
    turns = []
    for seed in range(400):
        after = cv2.cvtColor(distort_colours(colour.copy(), np.random.default_rng(seed)), cv2.COLOR_BGR2HSV)[0, 0]
        turns.append((after[0] - before[0] + 180) % 360 - 180)
    assert -25 < min(turns) < -15 and 15 < max(turns) < 25
    assert np.mean(np.abs(turns) < 2) > 0.3


def test_stretching_to_the_network_input(sample: Sample) -> None:
    stretched = stretch(sample, 64)
    assert stretched.image.shape == (64, 64, 3) and stretched.masks.shape == (3, 64, 64)
    np.testing.assert_allclose(stretched.boxes, BOXES / [140, 90, 140, 90], rtol=1e-6)
    np.testing.assert_allclose(stretched.crowd_boxes, CROWD / [140, 90, 140, 90], rtol=1e-6)
    for mask, (x1, y1, x2, y2) in zip(stretched.masks, stretched.boxes, strict=True):
        assert int(mask.sum()) == pytest.approx((x2 - x1) * (y2 - y1) * 64 * 64, rel=0.1)
        assert set(np.unique(mask)) == {0, 1}


def test_boxes_that_are_hardly_there_are_dropped(sample: Sample) -> None:
    """Their logarithm would be infinite; the limit is the official one, 4/550 of a pixel of the network input."""
    boxes = BOXES.copy()
    boxes[0, 2] = boxes[0, 0]
    boxes[1, 3] = boxes[1, 1] + 90 / 64 * 3.9 / 550
    boxes[2, 3] = boxes[2, 1] + 90 / 64 * 4.1 / 550
    assert stretch(replace(sample, boxes=boxes), 64).class_ids.tolist() == [1]


def test_kinds(sample: Sample) -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(augment(sample, rng, MEAN_COLOUR, "none").image, sample.image)
    shapes = {augment(sample, np.random.default_rng(s), MEAN_COLOUR, "mirror").image.shape for s in range(20)}
    assert shapes == {sample.image.shape}
    shapes = [augment(sample, np.random.default_rng(s), MEAN_COLOUR, "overhead").image.shape for s in range(99)]
    assert max(map(max, shapes)) == max(SIZE), "it never expands"
    assert 20 < sum(set(shape) == {*SIZE, 3} for shape in shapes) < 80, "and crops half the time"
    first, again = (augment(sample, np.random.default_rng(5), MEAN_COLOUR) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    with pytest.raises(UsageError, match="must be one of full, overhead, mirror, none, got 'all'"):
        augment(sample, rng, MEAN_COLOUR, "all")  # type: ignore[arg-type]
    assert sample.image.max() == 180, "the sample itself must not change"
