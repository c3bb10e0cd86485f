"""Figures of a step, on rectangles whose motion and mistakes are known by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from moving_shapes import SIZE, rectangles

from yolact.training.evaluation.stability.motions import LEAST_SIDE, MOST_FRAMES, MOTIONS, film
from yolact.training.evaluation.stability.moves import ExactMove, moved
from yolact.training.evaluation.stability.steps import Stability, measure_step

STILL = ExactMove(np.eye(2, 3), SIZE)


def shift(right: float, down: float) -> ExactMove:
    return ExactMove(np.array([[1, 0, right], [0, 1, down]], np.float64), SIZE)


def test_what_moves_as_it_should_is_calm() -> None:
    before = rectangles([(20, 20, 40, 50), (60, 20, 100, 60)])
    after = rectangles([(63, 18, 103, 58), (23, 18, 43, 48)])
    step = measure_step(before, after, shift(3, -2))
    assert step.ious.tolist() == [1, 1] and step.floors.tolist() == [1, 1]
    assert step.boxes.tolist() == pytest.approx([0, 0]) and step.areas.tolist() == [0, 0]
    assert step.scores.tolist() == [0, 0] and (step.lost, step.appeared) == (0, 0)


def test_mistakes_are_counted_as_they_are() -> None:
    """A box of 20 by 40 grows by 4 to the right; its score falls; another one is lost; a third appears."""
    before = rectangles([(20, 20, 40, 60), (100, 20, 120, 40)], scores=[0.9, 0.8])
    after = rectangles([(20, 20, 44, 60), (60, 80, 90, 100)], scores=[0.75, 0.5])
    step = measure_step(before, after, STILL)
    assert step.ious.tolist() == pytest.approx([20 / 24])
    assert step.boxes.tolist() == pytest.approx([4 / 4 / np.sqrt(800)])
    assert step.areas.tolist() == pytest.approx([0.2]) and step.scores.tolist() == pytest.approx([0.15])
    assert (step.lost, step.appeared) == (1, 1)
    figures = Stability.of([step, measure_step(before, before, STILL)])
    assert figures.instances == 4 and figures.lost == pytest.approx(1 / 4)
    assert figures.iou == pytest.approx((20 / 24 + 2) / 3) and figures.floor == 1
    assert figures.iou_p5 == pytest.approx(20 / 24 + 0.1 * (1 - 20 / 24))


def test_another_class_and_half_an_overlap_are_no_match() -> None:
    before = rectangles([(20, 20, 40, 40)], class_ids=[0])
    for after in (rectangles([(20, 20, 40, 40)], class_ids=[1]), rectangles([(27, 20, 47, 40)])):
        step = measure_step(before, after, STILL)
        assert len(step.ious) == 0 and (step.lost, step.appeared) == (1, 1)


def test_what_leaves_the_frame_is_not_lost_and_what_is_cut_off_does_not_count() -> None:
    height, width = SIZE
    before = rectangles([(0, 20, 20, 60), (50, 20, 80, 60)])
    after = rectangles([(30, 20, 60, 60), (width - 20, 80, width, height)])
    step = measure_step(before, after, shift(-20, 0))
    assert step.ious.tolist() == [1] and (step.lost, step.appeared) == (0, 0)
    half = measure_step(before, rectangles([(0, 20, 10, 60), (40, 20, 70, 60)]), shift(-10, 0))
    assert half.ious.tolist() == [1, 1] and half.boxes.tolist() == pytest.approx([0, 0])


def test_the_floor_is_what_moving_costs_alone() -> None:
    """By half a pixel there and back a mask of 20 columns keeps 20 or loses one."""
    found = rectangles([(20, 20, 40, 60)])
    step = measure_step(found, rectangles([(20, 20, 41, 60)]), shift(0.5, 0))
    assert step.floors[0] in (pytest.approx(20 / 21), pytest.approx(20 / 22), 1)
    zoom = ExactMove(np.array([[1.004, 0, -0.3], [0, 1.004, -0.2]]), SIZE)
    assert 0.9 < measure_step(found, found, zoom).floors[0] <= 1


def test_boxes_follow_a_zoom_about_any_point() -> None:
    """Twice as large about the corner: sides at 20 and 40 are at 40 and 80, as edges of pixels, not as centres."""
    double = ExactMove(np.array([[2, 0, 0.5], [0, 2, 0.5]]), SIZE)
    step = measure_step(rectangles([(20, 10, 40, 20)]), rectangles([(40, 20, 80, 40)]), double)
    assert step.boxes.tolist() == pytest.approx([0]) and step.ious[0] > 0.95


def test_a_mask_moves_as_its_whole_picture_does() -> None:
    """Near borders too, and out of the picture."""
    random = np.random.default_rng(4)
    for _ in range(30):
        mask = np.zeros(SIZE, np.bool_)
        top, left = random.integers(0, 90, 2)
        mask[top : top + 30, left : left + 40] = random.random(mask[top : top + 30, left : left + 40].shape) > 0.2
        factor = random.uniform(0.95, 1.05)
        motion = np.array([[factor, 0, random.uniform(-40, 40)], [0, factor, random.uniform(-40, 40)]])
        whole = cv2.warpAffine(mask.astype(np.float32), motion, SIZE[::-1])
        differs = moved(mask, motion) != (whole >= 0.5)
        assert not differs[np.abs(whole - 0.5) > 0.07].any()  # OpenCV rounds positions to a 32nd of a pixel


def test_nothing_at_all_has_no_figures() -> None:
    figures = Stability.of([measure_step(rectangles([]), rectangles([]), STILL)])
    assert set(figures.to_json().values()) == {0, None}
    assert Stability.of([]) == figures
    alone = measure_step(rectangles([(20, 20, 40, 40)]), rectangles([]), STILL)
    assert (alone.lost, alone.appeared) == (1, 0)
    assert Stability.of([alone]).lost == 1


@pytest.mark.parametrize("name", MOTIONS)
def test_films_move_by_their_matrices(name: str) -> None:
    """A blob as fine as a pixel's fraction: its weighted middle is where the matrix takes it."""
    rows, columns = np.mgrid[0:90, 0:120]
    photo = np.repeat((200 * np.exp(-((columns - 70.3) ** 2 + (rows - 40.6) ** 2) / 60))[..., None], 3, 2)
    photo = (photo + 20).astype(np.uint8)
    start = np.array([70.3 - 8, 40.6 - 8])
    made = list(film(photo, MOTIONS[name], MOST_FRAMES, 3))
    assert len(made) == MOST_FRAMES and all(image.shape == (74, 104, 3) for image, _ in made)
    assert any((image != made[0][0]).any() for image, _ in made[1:])
    for image, matrix in made:
        weight = np.clip(image[..., 0].astype(float) - 60, 0, None)
        middle = np.array([(weight * columns[:74, :104]).sum(), (weight * rows[:74, :104]).sum()]) / weight.sum()
        assert np.abs(middle - (matrix[:, :2] @ start + matrix[:, 2])).max() < 0.15


def test_films_are_the_same_each_time_and_differ_by_seed() -> None:
    photo = np.full((LEAST_SIDE, LEAST_SIDE, 3), 99, np.uint8)
    first, again, other = ([image for image, _ in film(photo, MOTIONS["noise"], 3, seed)] for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a != b).any() for a, b in zip(first, other, strict=True)) and (first[0] != first[1]).any()
