"""Ids over frames of rectangles on known ways: who crosses, hides, leaves, fades or changes class."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import missing
import numpy as np
import pytest
from moving_shapes import SIZE, Box, rectangles

from yolact import Tracker
from yolact.runtime.tracking.shape import Shape, mask_ious
from yolact.runtime.tracking.tracker import TrackerSettings


def box(left: float, top: float, side: int = 20) -> Box:
    return round(left), round(top), round(left) + side, round(top) + side


def ids_of(frames: Sequence[Sequence[Box]], **settings: Any) -> list[list[int]]:
    tracker = Tracker(TrackerSettings(**settings))
    found = [tracker.update(rectangles(boxes)) for boxes in frames]
    return [[] if one.track_ids is None else one.track_ids.tolist() for one in found]


def test_ids_hold_while_objects_move_and_ranks_change() -> None:
    tracker = Tracker()
    for frame in range(12):
        boxes = [box(5 + 4 * frame, 10), box(100 - 4 * frame, 60), box(20, 85 - 2 * frame)]
        order = np.random.default_rng(frame).permutation(3)
        found = tracker.update(rectangles([boxes[index] for index in order]))
        if frame == 0:
            names = dict(zip(order.tolist(), found.track_ids.tolist(), strict=True))  # type: ignore[union-attr]
        assert found.track_ids is not None and found.track_ids.dtype == np.int64
        assert found.track_ids.tolist() == [names[index] for index in order.tolist()]
    assert sorted(names.values()) == [1, 2, 3]


@pytest.mark.parametrize("hidden", range(8))
def test_objects_that_pass_each_other_keep_their_ids(hidden: int) -> None:
    """The one behind is wholly hidden for some frames, and more where the ways are nearer to each other."""
    frames = [[box(5 + 5 * frame, 40), box(125 - 5 * frame, 47 - hidden)] for frame in range(25)]
    ids = ids_of(frames)
    assert ids[0] == [1, 2] and ids[-1] == [1, 2]
    assert all(found in ([1, 2], [1]) for found in ids)
    assert hidden < 7 or [1] in ids


def test_an_object_behind_a_post_is_the_same_when_it_comes_out() -> None:
    post = (60, 0, 90, 120)
    ids = ids_of([[post, box(5 + 4 * frame, 50)] for frame in range(30)])
    assert ids[0] == ids[-1] == [1, 2]
    assert sum(found == [1] for found in ids) >= 2, "it was never hidden"
    assert all(found in ([1, 2], [1]) for found in ids)


def test_an_object_that_is_away_for_too_long_is_another() -> None:
    for away, expected in ((3, 1), (4, 2)):
        ids = ids_of([[box(40, 40)], *[[]] * away, [box(40, 40)]], max_lost=3)
        assert ids[0] == [1] and ids[-1] == [expected]


def test_a_jump_starts_a_track_and_a_missed_detection_does_not() -> None:
    assert ids_of([[box(10, 10)], [box(100, 80)]]) == [[1], [2]]
    way = [[box(10 + 8 * frame, 10)] for frame in range(10)]
    way[5], way[6] = [], []
    assert ids_of(way) == [[1]] * 5 + [[], []] + [[1]] * 3


def test_a_weak_detection_goes_on_with_a_track_and_starts_none() -> None:
    tracker = Tracker(TrackerSettings(start_score=0.5))
    ids = []
    for score in (0.9, 0.2, 0.2, 0.9):
        found = tracker.update(rectangles([box(10, 10), box(80, 80)], scores=[score, 0.3]))
        assert found.track_ids is not None and found.trails is not None
        ids.append(found.track_ids.tolist())
        assert found.trails[1].shape == (0, 2)
    assert ids == [[1, -1]] * 4


def test_a_strong_detection_is_preferred_to_a_weak_one_that_fits_better() -> None:
    tracker = Tracker(TrackerSettings(start_score=0.5))
    tracker.update(rectangles([box(40, 40)]))
    found = tracker.update(rectangles([box(46, 40), box(36, 40)], scores=[0.9, 0.2]))
    assert found.track_ids is not None and found.track_ids.tolist() == [1, -1]


def test_an_object_may_change_its_class_but_its_own_class_comes_first() -> None:
    tracker = Tracker()
    tracker.update(rectangles([box(40, 40)], class_ids=[0]))
    both = tracker.update(rectangles([(40, 40, 60, 52), (40, 52, 60, 60)], class_ids=[1, 0]))
    assert both.track_ids is not None and both.track_ids.tolist() == [2, 1]
    alone = Tracker()
    alone.update(rectangles([box(40, 40)], class_ids=[0]))
    changed = alone.update(rectangles([box(41, 40)], class_ids=[1]))
    assert changed.track_ids is not None and changed.track_ids.tolist() == [1]


def test_boxes_that_overlap_are_told_apart_by_masks() -> None:
    """Two L shapes whose boxes are the same: boxes say nothing, masks all."""
    low = np.zeros(SIZE, np.bool_)
    low[20:60, 20:30] = low[50:60, 20:60] = True
    high = np.zeros(SIZE, np.bool_)
    high[20:60, 50:60] = high[20:30, 32:60] = True
    shapes = [Shape.of(found, mask) for found, mask in _both(low, high)]
    assert mask_ious(shapes, shapes).round(6).tolist() == [[1, pytest.approx(_iou(low, high), abs=1e-6)]] * 1 + [
        [pytest.approx(_iou(low, high), abs=1e-6), 1]
    ]


def _both(*masks: np.ndarray) -> list[Any]:
    from yolact.runtime.images.geometry import Region

    return [(Region(10, 5, 110, 150), mask[10:110, 5:150]) for mask in masks]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_shapes_overlap_as_full_masks_do_wherever_they_are_moved() -> None:
    random = np.random.default_rng(3)
    for _ in range(40):
        boxes = [tuple(sorted(random.integers(0, 60, 2))) + tuple(sorted(random.integers(0, 60, 2))) for _ in range(2)]
        shapes, fulls = [], []
        for left, right, top, bottom in boxes:
            mask = random.random((bottom - top, right - left)) > 0.3
            full = np.zeros((200, 200), np.bool_)
            shift = random.integers(-30, 30, 2)
            full[70 + top + shift[1] : 70 + bottom + shift[1], 70 + left + shift[0] : 70 + right + shift[0]] = mask
            from yolact.runtime.images.geometry import Region

            shapes.append(Shape.of(Region(top, left, bottom, right), mask).moved(*shift.tolist()))
            fulls.append(full)
        expected = _iou(*fulls) if (fulls[0] | fulls[1]).any() else 0
        assert mask_ious(shapes[:1], shapes[1:])[0, 0] == pytest.approx(expected, abs=1e-6)


def test_trails_are_the_last_centres() -> None:
    tracker = Tracker(TrackerSettings(trail=3))
    for frame in range(5):
        found = tracker.update(rectangles([box(10 + 4 * frame, 10 + frame)]))
    assert found.trails is not None
    assert found.trails[0].tolist() == [[28, 22], [32, 23], [36, 24]]


def test_a_frame_of_another_size_is_another_scene() -> None:
    tracker = Tracker()
    tracker.update(rectangles([box(10, 10)]))
    found = tracker.update(rectangles([box(10, 10)], size=(121, 160)))
    assert found.track_ids is not None and found.track_ids.tolist() == [2]


def test_ids_go_with_their_detections() -> None:
    tracker = Tracker()
    found = tracker.update(rectangles([box(10, 10), box(60, 10), box(100, 10)], scores=[0.5, 0.9, 0.7]))
    assert found.track_ids is not None
    chosen = found.select(0.6)
    assert chosen.track_ids is not None and chosen.track_ids.tolist() == [2, 3]
    assert chosen.trails is not None and [trail[-1, 0] for trail in chosen.trails] == [70, 110]
    again = pickle.loads(pickle.dumps(found[[2]]))
    assert again.track_ids.tolist() == [3] and again.trails[0].tolist() == [[110, 20]]


def test_supervision_gets_the_ids() -> None:
    pytest.importorskip("supervision", reason=missing.SUPERVISION)
    found = Tracker().update(rectangles([box(10, 10), box(60, 10), box(100, 10)]))
    assert found.to_supervision().tracker_id.tolist() == [1, 2, 3]
    assert rectangles([box(10, 10)]).to_supervision().tracker_id is None


def test_no_detections_are_tracked_too() -> None:
    found = Tracker().update(rectangles([]))
    assert found.track_ids is not None and found.track_ids.shape == (0,) and found.trails == ()


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"start_score": 1.5}, ValueError),
        ({"start_score": float("nan")}, ValueError),
        ({"start_score": "0.5"}, TypeError),
        ({"min_overlap": 0}, ValueError),
        ({"min_overlap": True}, TypeError),
        ({"max_lost": -1}, ValueError),
        ({"max_lost": 1.5}, TypeError),
        ({"trail": 0}, ValueError),
        ({"trail": "3"}, TypeError),
    ],
)
def test_settings_out_of_range_are_rejected(wrong: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"^{next(iter(wrong))} must be"):
        TrackerSettings(**wrong)
    with pytest.raises(FrozenInstanceError):
        TrackerSettings().trail = 3  # type: ignore[misc]


def test_what_is_no_detections_is_rejected() -> None:
    for wrong in ([rectangles([])], None, np.zeros((3, 3))):
        with pytest.raises(TypeError, match="expected the Detections of one frame"):
            Tracker().update(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["track_ids", "trails"])
def test_ids_of_another_number_are_rejected(name: str) -> None:
    found = Tracker().update(rectangles([box(10, 10), box(60, 10)]))
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        type(found)(**vars(found) | {name: vars(found)[name][:1]})
