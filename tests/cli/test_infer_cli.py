"""The command `yolact-infer` from its arguments to its files, with engines that really run."""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import missing
import numpy as np
import pytest
from same_films import assert_same_film
from scripted_engine import (
    infer,
    read_json,
    start,
    write_engine,
    write_photo,
    write_video,
)

from yolact.runtime.detector import Detector
from yolact.runtime.images.drawing import ColorBy, annotate
from yolact.runtime.images.image_files import read_image
from yolact.runtime.video.reader import VideoReader
from yolact.runtime.video.writer import VideoFile


def test_a_folder_with_a_broken_file(engine: Path, here: Path) -> None:
    for name in ("a.jpg", "b.png", "d.jpg"):
        write_photo(here / "in" / name)
    (here / "in" / "c.jpg").write_bytes((here / "in" / "a.jpg").read_bytes()[:900])
    result = infer(engine, "in", "--json", "found.json")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("a.jpg", "b.png", "d.jpg"), strict=True):
        source, output = Path("in") / name, Path("yolact-output") / name
        assert re.fullmatch(
            rf"{re.escape(str(source))}: 2 persons, 1 dog, \d+\.\d ms -> {re.escape(str(output))}", line
        )
        assert read_image(output).shape == (40, 60, 3)
        assert (read_image(output) != read_image(source)).any()
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {Path('in/c.jpg')}: this JPEG is truncated")
    assert [row["source"] for row in read_json(here / "found.json")] == [
        str(Path("in") / n) for n in ("a.jpg", "b.png", "d.jpg")
    ]


def test_the_json_holds_what_was_found(engine: Path, here: Path) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason=missing.PYCOCOTOOLS)
    write_photo(here / "photo.png", 40, 60)
    assert infer(engine, "photo.png", "--json", "found.json").exit_code == 0
    (row,) = read_json(here / "found.json")
    assert (row["source"], row["width"], row["height"]) == ("photo.png", 60, 40)
    assert [(d["class_id"], d["class_name"], d["score"], d["box"]) for d in row["detections"]] == [
        (0, "person", 0.9, [0, 0, 30, 40]),
        (0, "person", 0.8, [30, 0, 60, 20]),
        (1, "dog", 0.7, [30, 20, 60, 40]),
    ]
    for detection in row["detections"]:
        expected = np.zeros((40, 60), np.uint8)
        left, top, right, bottom = (round(value) for value in detection["box"])
        expected[top:bottom, left:right] = 1
        decoded = coco.decode(detection["mask"])
        assert decoded.shape == expected.shape
        assert (decoded != expected).mean() < 0.03  # interpolation rounds the corners


@pytest.mark.parametrize("color_by", ["class", "instance"])
def test_what_has_a_colour_of_its_own(engine: Path, here: Path, color_by: ColorBy) -> None:
    write_photo(here / "photo.png", 40, 60)
    write_video(here / "film.avi", 2)
    result = infer(engine, "photo.png", "film.avi", *([] if color_by == "instance" else ["--color-by", color_by]))
    assert result.exit_code == 0, result.stderr
    with Detector.open(engine) as detector, VideoReader(Path("film.avi"), "film.avi") as film:
        photo = read_image(here / "photo.png")
        expected = annotate(photo, detector(photo, score_threshold=0.15, top_k=15), color_by=color_by)
        np.testing.assert_array_equal(read_image(here / "yolact-output" / "photo.png"), expected)
        with VideoFile(here / "expected.mp4", film.fps) as video:
            for frame in film:
                found = detector(frame.image, score_threshold=0.15, top_k=15)
                video.write(annotate(frame.image, found, color_by=color_by), frame.time)
    assert_same_film(here / "yolact-output" / "film.mp4", here / "expected.mp4")


@pytest.mark.parametrize("masks", ["polygon", "none"])
def test_other_forms_of_masks(engine: Path, here: Path, masks: str) -> None:
    write_photo(here / "photo.png", 40, 60)
    assert infer(engine, "photo.png", "--json", "found.json", "--masks", masks).exit_code == 0
    (row,) = read_json(here / "found.json")
    if masks == "none":
        assert all("mask" not in detection for detection in row["detections"])
        return
    for detection in row["detections"]:
        (outline,) = detection["mask"]
        points = np.array(outline).reshape(-1, 2)
        np.testing.assert_allclose([*points.min(axis=0), *(points.max(axis=0) + 1)], detection["box"], atol=1)


def test_a_real_network_finds_in_the_command_what_it_finds_in_python(
    tiny_engine: Path, here: Path, shared: Path
) -> None:
    photos = sorted((shared / "coco" / "images").glob("*.jpg"))[:3]
    result = infer(tiny_engine, *photos, "--json", "found.json", "--score-threshold", "0.05")
    assert result.exit_code == 0, result.stderr
    rows = read_json(here / "found.json")
    assert sum(len(row["detections"]) for row in rows) > 0
    with Detector.open(tiny_engine) as detector:
        for row, photo in zip(rows, photos, strict=True):
            expected = detector(read_image(photo)).select(0.05, 15)
            assert [d["class_id"] for d in row["detections"]] == expected.class_ids.tolist()
            assert [d["mask"] for d in row["detections"]] == expected.rle()
            scores, boxes = ([d[key] for d in row["detections"]] for key in ("score", "box"))
            np.testing.assert_allclose(scores, expected.ranking_scores, atol=1e-5)
            np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), expected.boxes, atol=0.006)


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ([], "2 persons, 1 dog"),
        (["--score-threshold", "0.75"], "2 persons"),
        (["--score-threshold", "0"], "2 persons, 1 dog, 1 traffic light"),
        (["--score-threshold", "1"], "no detections"),
        (["--top-k", "1"], "1 person"),
        (["--classes", "dog"], "1 dog"),
        (["--classes", "PERSON, 2", "--score-threshold", "0.05"], "2 persons, 1 traffic light"),
        (["--classes", "bus"], "no detections"),
        (["--classes", "dog", "--top-k", "1"], "1 dog"),
    ],
)
def test_what_is_shown(engine: Path, here: Path, options: list[str], summary: str) -> None:
    write_photo(here / "photo.jpg")
    result = infer(engine, "photo.jpg", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"photo.jpg: {summary}, ")


def test_mask_scores_rank_where_the_model_has_them(here: Path) -> None:
    engine = write_engine(here / "plus.onnx", mask_scores=[0.3, 0.75, 0.6, 0.05])
    write_photo(here / "photo.jpg")
    assert infer(engine, "photo.jpg", "--json", "found.json", "--top-k", "2").exit_code == 0
    (row,) = read_json(here / "found.json")
    assert [(d["class_name"], d["score"]) for d in row["detections"]] == [("person", 0.75), ("dog", 0.6)]


def test_inputs_of_the_same_name_and_a_pattern(engine: Path, here: Path) -> None:
    first, second = write_photo(here / "one" / "x.jpg"), write_photo(here / "two" / "x.jpg", 30, 50)
    result = infer(engine, "*/x.jpg", "--output", "out")
    assert result.exit_code == 0
    assert [line.split(" -> ")[1] for line in result.stdout.splitlines()] == [
        str(Path("out/x.jpg")),
        str(Path("out/x-2.jpg")),
    ]
    assert read_image(here / "out" / "x.jpg").shape == read_image(first).shape
    assert read_image(here / "out" / "x-2.jpg").shape == read_image(second).shape


def test_an_input_is_never_replaced(engine: Path, here: Path) -> None:
    photo = write_photo(here / "x.jpg")
    before = photo.read_bytes()
    assert infer(engine, "x.jpg", "--output", ".").exit_code == 0
    assert photo.read_bytes() == before
    assert (here / "x-2.jpg").exists()
    result = infer(engine, "x.jpg", "--json", "x.jpg")
    assert result.exit_code == 2
    assert "one of the inputs" in result.stderr
    assert photo.read_bytes() == before


def test_too_many_pixels(engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photo(here / "small.jpg", 10, 10)
    write_photo(here / "large.jpg", 10, 11)
    monkeypatch.setenv("YOLACT_MAX_PIXELS", "50")
    result = infer(engine, "small.jpg", "large.jpg", "--max-pixels", "100")
    assert result.exit_code == 1 and result.stdout.startswith("small.jpg: ")
    assert result.stderr.startswith("error: large.jpg: this JPEG has 11x10 pixels, expected at most 100 in all; ")
    assert os.environ["YOLACT_MAX_PIXELS"] == "50", "the option holds for its command alone"


@pytest.mark.skipif(sys.platform != "linux", reason=missing.LINUX)
def test_file_names_that_are_no_text(engine: Path, here: Path) -> None:
    photo, film = Path(os.fsdecode(b"caf\xe9.png")), Path(os.fsdecode(b"caf\xe9.avi"))
    write_photo(photo)
    write_video(here / "film.avi", 3).rename(film)
    process = start(engine, photo, film, "--json", "found.json")
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert output.startswith(r"caf\udce9.png: 2 persons")
    assert [row["source"] for row in read_json(here / "found.json")] == [str(photo)] + [str(film)] * 3
    assert (Path("yolact-output") / film.with_suffix(".mp4")).exists()
    assert read_image(Path("yolact-output") / photo).shape == (40, 60, 3)


def test_a_url(engine: Path, here: Path) -> None:
    write_photo(here / "served" / "photo.png")
    handler = functools.partial(QuietHandler, directory=str(here / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        result = infer(engine, f"{address}/photo.png", f"{address}/gone.png", "--json", "found.json")
        server.shutdown()
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{address}/photo.png: 2 persons, 1 dog, ")
    assert result.stderr == f"error: {address}/gone.png: the server answered 404 File not found\n"
    assert [row["source"] for row in read_json(here / "found.json")] == [f"{address}/photo.png"]
    assert read_image(here / "yolact-output" / "photo.png").shape == (40, 60, 3)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without telling about it."""

    def log_message(self, *_: object) -> None:
        pass


def test_unusual_images(engine: Path, here: Path) -> None:
    write_photo(here / "in" / "dot.png", 1, 1)
    write_photo(here / "in" / "strip.jpg", 3, 900)
    (here / "in" / "gray.png").write_bytes(cv2.imencode(".png", np.full((20, 30), 90, np.uint8))[1].tobytes())
    (here / "in" / "night.png").write_bytes(cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tobytes())
    result = infer(engine, "in", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    shapes = {(row["height"], row["width"]): len(row["detections"]) for row in read_json(here / "found.json")}
    assert shapes == {(1, 1): 3, (20, 30): 0, (3, 900): 3}
    assert ": no detections, " in result.stdout


def test_a_video(engine: Path, here: Path) -> None:
    write_video(here / "film.avi", 5)
    result = infer(engine, "film.avi", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("film.avi frame 0: no detections, ")
    assert lines[4].startswith("film.avi frame 4: 2 persons, 1 dog, ")
    assert lines[5] == f"film.avi: 5 frames -> {Path('yolact-output/film.mp4')}"
    rows = read_json(here / "found.json")
    assert [(row["source"], row["frame"], len(row["detections"])) for row in rows] == [
        ("film.avi", index, 3 if index else 0) for index in range(5)
    ]
    with VideoReader(Path("yolact-output/film.mp4"), "film") as reader:
        assert (reader.fps, [frame.image.shape for frame in reader]) == (10, [(24, 32, 3)] * 5)


def test_a_video_that_breaks_off_counts_as_failed_and_keeps_what_there_is(engine: Path, here: Path) -> None:
    path = write_video(here / "film.avi", 40, (320, 240))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write_photo(here / "photo.jpg")
    result = infer(engine, "film.avi", "photo.jpg", "--json", "found.json")
    assert result.exit_code == 1
    assert re.fullmatch(r"error: film\.avi: the video ends after \d+ of 40 frames; copy it again\n", result.stderr)
    rows = read_json(here / "found.json")
    assert 1 < len(rows) < 40 and rows[-1]["source"] == "photo.jpg"
    with VideoReader(Path("yolact-output/film.mp4"), "film") as reader:
        assert len(list(reader)) == len(rows) - 1
