"""What is taken for what, counted by hand and by an oracle that walks through pixels."""

from __future__ import annotations

from typing import Any

import missing
import numpy as np
import pytest

from yolact.runtime.images.geometry import Region
from yolact.runtime.images.mask_encoding import encode_rle
from yolact.training.data.coco.annotated_images import AnnotatedImage, Annotation
from yolact.training.evaluation.calibration import Calibration
from yolact.training.evaluation.confusion import Confusion, match_image

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

SIZE = (40, 60)
Box = tuple[int, int, int, int]
"""x, y, width, height."""


def rle(box: Box) -> dict[str, Any]:
    x, y, width, height = box
    return encode_rle(np.ones((height, width), np.bool_), Region(y, x, y + height, x + width), SIZE)


def image(*things: tuple[int, Box] | tuple[int, Box, bool]) -> AnnotatedImage:
    """With objects of these categories in these boxes; a third value makes a crowd."""
    annotations = tuple(
        Annotation(
            number,
            thing[0],
            tuple(map(float, thing[1])),
            float(thing[1][2] * thing[1][3]),
            rle(thing[1]),
            len(thing) > 2,
        )
        for number, thing in enumerate(things)
    )
    return AnnotatedImage(1, "1.png", SIZE, annotations)


def row(category: int, box: Box, score: float) -> dict[str, Any]:
    return {"image_id": 1, "category_id": category, "segmentation": rle(box), "score": score}


A, B, C = 3, 7, 90
LEFT, MIDDLE, RIGHT = (0, 0, 10, 10), (20, 0, 10, 10), (40, 0, 10, 10)

BY_HAND: dict[str, tuple[AnnotatedImage, list[dict[str, Any]], list[tuple[int | None, int | None]]]] = {
    "nothing": (image(), [], []),
    "right": (image((A, LEFT)), [row(A, LEFT, 0.5)], [(A, A)]),
    "half of it": (image((A, LEFT)), [row(A, (0, 0, 5, 10), 0.5)], [(A, A)]),
    "less than half": (image((A, LEFT)), [row(A, (0, 0, 4, 10), 0.5)], [(A, None), (None, A)]),
    "missed": (image((A, LEFT), (B, RIGHT)), [row(B, RIGHT, 0.5)], [(A, None), (B, B)]),
    "where nothing is": (image(), [row(C, LEFT, 0.5)], [(None, C)]),
    "another class": (image((A, LEFT)), [row(B, LEFT, 0.5)], [(A, B)]),
    "found twice": (image((A, LEFT)), [row(A, LEFT, 0.5), row(A, LEFT, 0.9)], [(A, A), (None, A)]),
    "its own class goes first, though it scores less": (
        image((A, LEFT)),
        [row(B, LEFT, 0.9), row(A, LEFT, 0.2)],
        [(A, A), (None, B)],
    ),
    "the better one is the confused one": (
        image((A, LEFT)),
        [row(B, (0, 0, 10, 8), 0.3), row(C, LEFT, 0.2)],
        [(A, B), (None, C)],
    ),
    "the larger overlap of two": (
        image((A, LEFT), (A, (0, 0, 10, 7))),
        [row(A, (0, 0, 10, 7), 0.5)],
        [(A, None), (A, A)],
    ),
    "in a crowd of its class": (image((A, (0, 0, 30, 30), True)), [row(A, MIDDLE, 0.5)], []),
    "in a crowd of another": (image((B, (0, 0, 30, 30), True)), [row(A, MIDDLE, 0.5)], [(None, A)]),
    "a third in a crowd": (image((A, (0, 0, 3, 10), True)), [row(A, (0, 0, 9, 10), 0.5)], [(None, A)]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    there, found, expected = BY_HAND[name]
    outcome = match_image(there, found)
    assert list(outcome.pairs) == expected
    assert outcome.right == sum(a == b for a, b in expected) and outcome.wrong == len(expected) - outcome.right


def oracle(there: AnnotatedImage, rows: list[dict[str, Any]]) -> list[tuple[int | None, int | None]]:
    """With sets of pixels, one detection after the other."""

    def pixels(box: Any) -> set[tuple[int, int]]:
        x, y, width, height = (int(side) for side in box)
        return {(i, j) for i in range(x, x + width) for j in range(y, y + height)}

    waiting = sorted(rows, key=lambda one: one["score"], reverse=True)
    free = [[thing.category_id, pixels(thing.box), None] for thing in there.annotations]
    for only_same in (True, False):
        for one in list(waiting):
            shape = pixels(one["box"])
            fits = [
                (len(shape & thing[1]) / len(shape | thing[1]), -place)
                for place, thing in enumerate(free)
                if thing[2] is None and (not only_same or thing[0] == one["category_id"])
            ]
            if fits and max(fits)[0] >= 0.5:
                free[-max(fits)[1]][2] = one["category_id"]
                waiting.remove(one)
    return [(thing[0], thing[2]) for thing in free] + [(None, one["category_id"]) for one in waiting]


def test_the_oracle_agrees() -> None:
    random, wrong = np.random.default_rng(3), 0
    for _ in range(60):
        boxes = [tuple(map(int, (*random.integers(0, 25, 2), *random.integers(6, 14, 2)))) for _ in range(8)]
        there = image(*((int(random.choice([A, B, C])), box) for box in boxes[:5]))
        rows = []
        for box in [*boxes, *boxes[:3]]:
            moved = tuple(int(side) for side in np.maximum(box + random.integers(-2, 3, 4), (0, 0, 5, 5)))
            rows.append({**row(int(random.choice([A, B, C])), moved, float(random.random())), "box": moved})
        outcome = match_image(there, rows)
        assert sorted(map(str, outcome.pairs)) == sorted(map(str, oracle(there, rows)))
        wrong += sum(a != b and a is not None and b is not None for a, b in outcome.pairs)
    assert wrong > 20


def test_counts_precision_and_recall() -> None:
    there = image((A, LEFT), (A, MIDDLE), (B, RIGHT))
    found = [row(A, LEFT, 0.9), row(B, MIDDLE, 0.8), row(B, (0, 20, 5, 5), 0.7)]
    confusion = Confusion.of([match_image(there, found), match_image(image((A, LEFT)), [])], {A: "a", B: "b", C: "c"})
    assert confusion.counts.tolist() == [[1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert [confusion.precision(i) for i in range(3)] == [1, 0, None]
    assert [confusion.recall(i) for i in range(3)] == [pytest.approx(1 / 3), 0, None]
    assert confusion.most_frequent(5) == [(0, 1, 1)]
    assert confusion.of_classes([1]).counts.tolist() == [[0, 1], [1, 0]]


def test_calibration_by_hand() -> None:
    """Bins 0.1 (two, one right), 0.3 (a score on the border of its bin) and 0.9 (a score of 1 is in the last one)."""
    scores, right = [0.12, 0.18, 0.3, 0.92, 1.0, 0.96], [True, False, False, True, True, False]
    calibration = Calibration.of(scores, right)
    assert calibration.counts.tolist() == [0, 2, 0, 1, 0, 0, 0, 0, 0, 3]
    assert calibration.mean_scores[[1, 3, 9]] == pytest.approx([0.15, 0.3, 0.96])
    assert calibration.precisions[[1, 3, 9]] == pytest.approx([0.5, 0, 2 / 3])
    expected = (2 * abs(0.5 - 0.15) + 1 * 0.3 + 3 * abs(2 / 3 - 0.96)) / 6
    assert calibration.error == pytest.approx(expected)
    assert Calibration.of([], []).error is None and Calibration.of([], []).counts.sum() == 0
