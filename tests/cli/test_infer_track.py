"""`yolact-infer --track`: ids in the JSON, colours and trails in the pictures, a new count for each film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from moving_shapes import rectangles
from scripted_engine import infer, read_json, write_engine, write_photo, write_video

from yolact.runtime.images.drawing import annotate
from yolact.runtime.inference import InferenceRequest, run_inference
from yolact.runtime.tracking.tracker import Tracker, TrackerSettings


def ids(rows: list[dict[str, object]]) -> list[list[int | None]]:
    return [[one["track_id"] for one in row["detections"]] for row in rows]  # type: ignore[attr-defined]


def test_ids_are_in_the_rows_of_a_video_and_begin_anew_with_the_next(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    for name in ("a.avi", "b.avi"):
        write_video(here / name, 4)
    result = infer(engine, "a.avi", "b.avi", "--track", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    assert ids(read_json(here / "found.json")) == [[], [1, 2, 3], [1, 2, 3], [1, 2, 3]] * 2


def test_a_folder_is_a_film_and_single_images_of_two_folders_are_two(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    for name in ("in/1.png", "in/2.png", "other/1.png"):
        write_photo(here / name)
    result = infer(engine, "in", "other", "--track", "--json", "found.json", "--top-k", "2")
    assert result.exit_code == 0, result.stderr
    assert ids(read_json(here / "found.json")) == [[1, 2]] * 3


def test_without_the_option_there_are_no_ids(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_photo(here / "in.png")
    assert infer(engine, "in.png", "--json", "found.json").exit_code == 0
    assert "track_id" not in read_json(here / "found.json")[0]["detections"][0]


def test_what_is_shown_is_what_is_shown_without_tracks(here: Path) -> None:
    """The weak detection that keeps tracks alive stays out of sight."""
    engine = write_engine(here / "scripted.onnx")
    write_video(here / "film.avi", 3)
    rows = []
    for more in ([], ["--track"]):
        assert infer(engine, "film.avi", "--json", "found.json", *more).exit_code == 0
        rows.append(read_json(here / "found.json"))
    for row in rows[1]:
        for one in row["detections"]:
            del one["track_id"]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_every_threshold_can_be_tracked(here: Path, threshold: float) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_photo(here / "in.png")
    lines: list[str] = []
    request = InferenceRequest(engine, ["in.png"], threshold, track=True)
    assert run_inference(request, lines.append, lines.append), lines


def test_an_object_keeps_its_colour_and_draws_its_trail() -> None:
    """Ranks change; colours do not. Where an object was, a line in its colour is, and nothing where nobody was."""
    tracker = Tracker(TrackerSettings(start_score=0.5))
    image = np.full((120, 160, 3), 120, np.uint8)
    boxes = [(10, 10, 30, 30), (120, 60, 140, 80)]
    tracker.update(rectangles(boxes))
    moved = [(122, 66, 142, 86), (18, 10, 38, 30)]
    for _ in range(3):
        moved = [(left, top + 6, right, bottom + 6) for left, top, right, bottom in moved]
        found = tracker.update(rectangles(moved))
    drawn = annotate(image, found, labels=False)
    plain = annotate(image, rectangles(moved), labels=False)
    first, second = moved[1], moved[0]
    assert drawn[first[1], first[0] + 5].tolist() == plain[second[1], second[0] + 5].tolist()
    assert drawn[second[1], second[0] + 5].tolist() == plain[first[1], first[0] + 5].tolist()
    assert (drawn[21:26, 21:27] != 120).any() and (plain[21:26, 21:27] == 120).all()
    labelled = annotate(image, found)
    assert (labelled != annotate(image, rectangles(moved))).any()


def test_a_detection_without_a_track_is_grey() -> None:
    found = Tracker(TrackerSettings(start_score=0.95)).update(rectangles([(40, 40, 80, 80)]))
    assert found.track_ids is not None and found.track_ids.tolist() == [-1]
    drawn = annotate(np.zeros((120, 160, 3), np.uint8), found, labels=False)
    assert drawn[40, 50].tolist() == [128, 128, 128]
    by_class = annotate(np.zeros((120, 160, 3), np.uint8), found, labels=False, color_by="class")
    assert by_class[40, 50].tolist() != [128, 128, 128]
