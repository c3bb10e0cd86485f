"""Smoothing on rectangles: what shakes is calmed, what moves is followed, what is new stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from moving_shapes import SIZE, Box, rectangles

from yolact.runtime.detections import Detections
from yolact.runtime.tracking.following import Following
from yolact.runtime.tracking.smoothing import Smoother


def found(*boxes: Box, scores: list[float] | None = None, ids: list[int] | None = None) -> Detections:
    return replace(rectangles(boxes, scores), track_ids=np.array(ids or range(1, len(boxes) + 1), np.int64))


def set_bounds(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def test_the_first_frame_is_what_was_found() -> None:
    one = found((10, 20, 40, 60), (50, 20, 80, 61), scores=[0.8, 0.6])
    calm = Smoother().update(one)
    assert (calm.masks == one.masks).all() and (calm.boxes == one.boxes).all() and (calm.scores == one.scores).all()
    assert calm.mask_probabilities is None and calm.track_ids is one.track_ids and calm.names == one.names


def test_an_edge_that_shakes_by_a_pixel_stays() -> None:
    """The edge is at 40 and 42 by turns, and is shown within a pixel."""
    smoother = Smoother(0.51)
    rights = []
    for frame in range(12):
        one = found((10, 20, 40 + 2 * (frame % 2), 60))
        rights.append(set_bounds(smoother.update(one).masks[0])[2])
    assert max(rights[4:]) - min(rights[4:]) <= 1 < 2


def test_boxes_and_scores_are_weighted_sums() -> None:
    smoother = Smoother(0.6)
    smoother.update(found((10, 20, 40, 60), scores=[0.5]))
    calm = smoother.update(found((10, 20, 40, 60), scores=[1.0]))
    assert calm.scores.tolist() == pytest.approx([0.8]) and calm.boxes[0].tolist() == pytest.approx([10, 20, 40, 60])
    wider = smoother.update(found((10, 20, 44, 60), scores=[1.0]))
    # The middle moves by 2, of which 0.3 is believed; sides are 0.6 of what is found and 0.4 of what was expected.
    assert wider.boxes[0].tolist() == pytest.approx([10 + 0.4 * 0.6, 20, 0.6 * 44 + 0.4 * 40.6, 60])
    assert wider.scores.tolist() == pytest.approx([0.92])


def test_an_object_that_moves_is_followed() -> None:
    smoother = Smoother()
    for frame in range(15):
        box = (5 + 5 * frame, 30, 35 + 5 * frame, 70)
        calm = smoother.update(found(box))
    left, top, right, bottom = set_bounds(calm.masks[0])
    assert abs(left - box[0]) <= 1 and abs(right - box[2]) <= 1 and (top, bottom) == (30, 70)
    assert np.abs(calm.boxes[0] - box).max() < 1


def test_a_large_change_is_followed_at_once() -> None:
    smoother = Smoother()
    smoother.update(found((10, 20, 40, 60)))
    calm = smoother.update(found((10, 20, 70, 60)))
    assert set_bounds(calm.masks[0])[2] >= 67


def test_a_mask_at_the_border_stays_in_the_image() -> None:
    height, width = SIZE
    for box in ((0, 0, 20, 20), (width - 20, height - 20, width, height), (0, 0, width, height)):
        smoother = Smoother()
        for _ in range(3):
            calm = smoother.update(found(box))
        assert set_bounds(calm.masks[0]) == box


def test_a_thin_line_does_not_vanish() -> None:
    smoother = Smoother()
    for _ in range(4):
        calm = smoother.update(found((10, 20, 60, 21)))
    assert set_bounds(calm.masks[0]) == (10, 20, 60, 21)


def test_ids_decide_and_not_ranks_and_a_gap_begins_anew() -> None:
    smoother = Smoother()
    smoother.update(found((10, 20, 40, 60), (80, 20, 110, 60), scores=[0.9, 0.3], ids=[4, 7]))
    calm = smoother.update(found((80, 20, 110, 60), (10, 20, 40, 60), scores=[0.8, 0.9], ids=[7, 4]))
    assert calm.scores.tolist() == pytest.approx([0.6, 0.9])
    smoother.update(found((10, 20, 40, 60), ids=[4]))
    assert smoother.update(found((80, 20, 110, 60), scores=[0.2], ids=[7])).scores.tolist() == pytest.approx([0.2])


def test_what_belongs_to_no_track_stays_as_it_is() -> None:
    smoother = Smoother()
    for score in (0.2, 0.4):
        calm = smoother.update(found((10, 20, 40, 60), scores=[score], ids=[-1]))
        assert calm.scores.tolist() == pytest.approx([score])


def test_mask_scores_and_probabilities_are_smoothed_too() -> None:
    probabilities = np.zeros((1, 12, 16), np.float32)
    probabilities[0, 3:9, 4:12] = 1
    one = replace(found((40, 30, 120, 90)), mask_bits=None, mask_probabilities=probabilities)
    smoother = Smoother()
    smoother.update(replace(one, mask_scores=np.array([0.5], np.float32)))
    calm = smoother.update(replace(one, mask_scores=np.array([1.0], np.float32)))
    assert calm.mask_scores is not None and calm.mask_scores.tolist() == pytest.approx([0.8])
    assert (calm.masks == one.masks).all()
    nothing = replace(one, mask_probabilities=np.zeros((1, 12, 16), np.float32))
    assert not smoother.update(nothing).masks.any()


def test_a_score_that_dips_for_a_frame_does_not_hide_its_object() -> None:
    plain, calm = Following(0.3), Following(0.3, smooth=True)
    shown: list[tuple[int, int]] = []
    for score in (0.5, 0.5, 0.2, 0.5):
        one = rectangles([(10, 20, 40, 60)], [score])
        shown.append((len(plain.next(one, None)), len(calm.next(one, None))))
    assert plain.least_score == 0.15
    assert shown == [(1, 1), (1, 1), (0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("share", "kind"),
    [(0.5, ValueError), (1.01, ValueError), (float("nan"), ValueError), ("0.6", TypeError), (True, TypeError)],
)
def test_wrong_shares_are_rejected(share: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="share must be"):
        Smoother(share)


def test_detections_without_ids_are_rejected() -> None:
    with pytest.raises(ValueError, match="expected detections with track_ids"):
        Smoother().update(rectangles([(10, 20, 40, 60)]))
