"""Which objects and detections of a frame count, on rectangles."""

from __future__ import annotations

import numpy as np
import pytest
from moving_shapes import SIZE, Box, rectangles

from yolact.runtime.tracking.tracker import Tracker
from yolact.training.evaluation.pairing import Annotated, pair, pair_frame


def annotated(*boxes: Box, classes: list[int] | None = None, ignored: tuple[int, ...] = ()) -> Annotated:
    masks = []
    for left, top, right, bottom in boxes:
        mask = np.zeros(SIZE, np.uint8)
        mask[top:bottom, left:right] = 1
        masks.append(mask)
    ids = np.arange(len(boxes)) + 50
    flags = np.array([index in ignored for index in range(len(boxes))], np.bool_)
    return Annotated(masks, None if classes is None else np.array(classes, np.int64), ids, flags)


def test_overlaps_are_those_of_rectangles() -> None:
    objects = annotated((10, 10, 30, 30), (60, 10, 80, 30))
    paired = pair(objects, rectangles([(20, 10, 40, 30), (60, 10, 80, 20)]))
    assert paired.ious.round(6).tolist() == [[pytest.approx(1 / 3, abs=1e-6), 0], [0, 0.5]]


def test_another_class_does_not_overlap() -> None:
    found = rectangles([(10, 10, 30, 30), (60, 10, 80, 30)], class_ids=[0, 1])
    boxes = ((10, 10, 30, 30), (60, 10, 80, 30))
    assert pair(annotated(*boxes, classes=[0, 0]), found).ious.tolist() == [[1, 0], [0, 0]]
    assert pair(annotated(*boxes, classes=[0, -1]), found).ious.tolist() == [[1, 0], [0, 0]]
    assert pair(annotated(*boxes), found).ious.tolist() == [[1, 0], [0, 1]]


def test_what_is_found_on_an_object_that_nobody_asks_for_does_not_count() -> None:
    objects = annotated((10, 10, 30, 30), (60, 10, 80, 30), (100, 10, 120, 30), ignored=(1, 2))
    found = Tracker().update(rectangles([(60, 10, 80, 28), (10, 10, 30, 30), (100, 22, 120, 34), (10, 80, 30, 100)]))
    paired = pair(objects, found)
    assert paired.objects.tolist() == [0] and paired.found.tolist() == [1, 2, 3]
    frame = pair_frame(objects, found)
    assert frame.object_ids.tolist() == [50] and frame.track_ids.tolist() == [2, 3, 4]
    assert frame.ious.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("boxes", [[], [(10, 10, 30, 30)]])
def test_nothing_pairs_with_nothing(boxes: list[Box]) -> None:
    assert pair(annotated(), rectangles(boxes)).ious.shape == (0, len(boxes))
    assert pair(annotated(*boxes), rectangles([])).ious.shape == (len(boxes), 0)


def test_detections_without_ids_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"no track_ids; Tracker\.update gives them"):
        pair_frame(annotated(), rectangles([]))
