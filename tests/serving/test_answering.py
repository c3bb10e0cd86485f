"""Requests of several clients are one batch, and what is wrong with one is its own affair."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from triton_models import assert_all_same, assert_same

from yolact.runtime.detector import Detector
from yolact.runtime.errors import ImageError, UsageError, YolactError
from yolact.runtime.selection import Selection
from yolact.runtime.triton import wire
from yolact.serving.answering import EngineFailed, Question, answer

WHITE = np.full((30, 44, 3), 255, np.uint8)
BLACK = np.zeros((9, 4, 3), np.uint8)
PNG = cv2.imencode(".png", WHITE)[1].tobytes()
JPEG = cv2.imencode(".jpg", WHITE)[1].tobytes()


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def detector(engine: Path) -> Iterator[Detector]:
    with Detector.open(engine) as detector:
        yield detector


def test_good_ones_among_bad_ones(detector: Detector, pool: ThreadPoolExecutor) -> None:
    refused = UsageError("it was refused before")
    questions = [
        Question([PNG, BLACK], None),
        Question([JPEG[: len(JPEG) // 2]], None),
        refused,
        Question([WHITE, b"", PNG], Selection(0.75)),
        Question([], None),
        Question([np.zeros((0, 5, 3), np.uint8)], None),
        Question([WHITE], Selection(0.75, 1)),
    ]
    first, truncated, before, one_bad, none, empty, last = answer(detector, questions, "rle", pool)
    assert isinstance(first, dict) and isinstance(last, dict)
    names = detector.class_names
    assert_all_same(wire.decode(first, "rle", names), detector([WHITE, BLACK]))
    assert_all_same(wire.decode(last, "rle", names), [detector(WHITE, score_threshold=0.75, top_k=1)])
    assert isinstance(truncated, ImageError) and str(truncated).startswith("image: ") and "truncated" in str(truncated)
    assert before is refused
    assert isinstance(one_bad, ImageError) and str(one_bad).startswith("image 2 of 3: image: expected an image")
    assert isinstance(none, UsageError) and isinstance(empty, ImageError)


def test_all_bad(detector: Detector, pool: ThreadPoolExecutor) -> None:
    assert all(isinstance(one, ImageError) for one in answer(detector, [Question([b"?"], None)] * 2, "rle", pool))
    assert answer(detector, [], "rle", pool) == []


@pytest.mark.parametrize(
    "wishes", [[None, None], [Selection(0.5), Selection(0.5)], [Selection(0.75), Selection(0, 1), None]]
)
def test_each_gets_what_it_wants(wishes: list[Selection | None], detector: Detector, pool: ThreadPoolExecutor) -> None:
    answers = answer(detector, [Question([WHITE], wanted) for wanted in wishes], "bits", pool)
    for one, wanted in zip(answers, wishes, strict=True):
        assert isinstance(one, dict)
        expected = detector(WHITE) if wanted is None else detector(WHITE).select_by(wanted)
        assert_same(*wire.decode(one, "bits", detector.class_names), expected)


def test_an_engine_that_fails_is_told_to_all_but_the_bad(detector: Detector, pool: ThreadPoolExecutor) -> None:
    detector.close()
    good, bad = answer(detector, [Question([PNG], None), Question([b"?"], None)], "rle", pool)
    assert isinstance(good, EngineFailed) and "closed" in str(good) and "\n" not in str(good)
    assert isinstance(bad, ImageError) and isinstance(good, YolactError)
