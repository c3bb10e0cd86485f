"""`yolact-eval --stability`: an engine that never changes its mind is calm; figures, page, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from scripted_engine import infer, read_json, write_engine, write_photo, write_video

from yolact.cli.eval import main
from yolact.runtime.video.opening import create_video

MOTIONS = ("noise", "jpeg", "pan", "zoom", "brightness")


def run(engine: Path, *arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["--engine", str(engine), "--stability", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_an_engine_that_always_finds_the_same_is_calm_where_nothing_moves(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    for index in range(2):
        write_photo(here / "photos" / f"<b>{index}.png", 60 + 10 * index, 80)
    result = run(engine, "--images", "photos", "--json", "figures.json", "--report", "report")
    assert result.exit_code == 0, result.stderr
    figures = json.loads((here / "figures.json").read_text())
    assert figures == json.loads((here / "report" / "metrics.json").read_text())
    assert (figures["photos"], figures["frames"], set(figures["motions"])) == (2, 8, set(MOTIONS))
    for name in MOTIONS:
        for way in ("as_found", "smoothed"):
            one = figures["motions"][name][way]
            assert one["instances"] == 2 * 7 * 3 and one["lost"] == 0 and one["score"] < 1e-6
            assert len(one["over_time"]) == 7
            still = name not in ("pan", "zoom")
            assert 0.9 < one["iou"] <= 1 and 0.9 < one["floor"] <= 1
            assert not still or (one["iou"] == one["floor"] == 1 and one["area"] == 0)
            # A zoom about the middle leaves sides in the middle and at the border where they are.
            assert (one["box"] < 1e-6) == (name != "pan")
    # Sides that do not follow the pan are off by it, but for those at the border that it moves into.
    expected = []
    for height in (60 - 16, 70 - 16):
        far, low, right, down = 64 / 2, height / 2, 0.37, 0.23
        expected += [
            (right + down) / 4 / ((far - right) * (height - down)) ** 0.5,
            (2 * right + down) / 4 / (far * (low - down)) ** 0.5,
            2 * (right + down) / 4 / (far * low) ** 0.5,
        ]
    assert figures["motions"]["pan"]["as_found"]["box"] == pytest.approx(sum(expected) / 6, rel=1e-5)
    rows = [line.split()[0] for line in result.stdout.splitlines() if line[:1].isalpha()]
    assert rows == list(MOTIONS)


def test_the_page_needs_no_other_file(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_photo(here / "photos" / "<b>.png", 60, 80)
    assert run(engine, "--images", "photos", "--report", "report").exit_code == 0
    page = (here / "report" / "report.html").read_text()
    assert page.count("<svg") == 10 and page.count("<img") == 5 * 2 * 4 and "<b>.png" not in page
    assert all(source.startswith("data:image/jpeg") for source in re.findall(r'src="([^"]*)"', page))


def test_a_limit_takes_the_first_photos(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    for name in ("b.png", "a.png"):
        write_photo(here / "0" / name, 60, 80)
    (here / "0" / "c.png").write_bytes(b"no image")
    result = run(engine, "--images", "0", "--limit", "2", "--top-k", "1", "--json", "f.json")
    assert result.exit_code == 0 and result.stdout.startswith("2 photos")
    motions = json.loads((here / "f.json").read_text())["motions"].values()
    assert {one["instances"] for ways in motions for one in ways.values()} == {2 * 7 * 1}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--images", "photos", "--strict"], 2, "--strict is for --annotations"),
        (["--images", "photos", "--by-id"], 2, "--by-id is for --annotations"),
        (["--images", "small"], 1, "has a side of 20 pixels"),
        (["--images", "broken"], 1, "x.png"),
        (["--images", "empty"], 1, "empty"),
        (["--images", "missing"], 2, "missing"),
        (["--images", "photos", "--json", "photos/1.png"], 2, "--json"),
    ],
)
def test_what_cannot_be_measured_is_told(here: Path, arguments: list[str], code: int, words: str) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_photo(here / "photos" / "1.png", 60, 80)
    write_photo(here / "small" / "1.png", 20, 80)
    (here / "empty").mkdir()
    (here / "broken").mkdir()
    (here / "broken" / "x.png").write_bytes(b"no image")
    before = (here / "photos" / "1.png").read_bytes()
    result = run(engine, *arguments)
    assert (result.exit_code, result.stdout) == (code, "") and words in result.stderr
    assert (here / "photos" / "1.png").read_bytes() == before


def test_without_the_option_annotations_are_needed(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_photo(here / "photos" / "1.png", 60, 80)
    result = CliRunner().invoke(main, ["--engine", str(engine), "--images", "photos"])
    assert result.exit_code == 2 and "expected --annotations" in result.stderr


def test_smooth_implies_tracks_and_changes_nothing_that_stands_still(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_video(here / "film.avi", 4)
    rows = []
    for option in ("--track", "--smooth"):
        result = infer(engine, "film.avi", option, "--json", "found.json")
        assert result.exit_code == 0, result.stderr
        rows.append(read_json(here / "found.json"))
    assert rows[0] == rows[1] and rows[0][1]["detections"][0]["track_id"] == 1


def moving(frame: int) -> np.ndarray:
    """A picture that slides by two pixels a frame."""
    wide = np.random.default_rng(7).integers(30, 226, (72, 200, 3)).astype(np.uint8)
    return np.ascontiguousarray(cv2.GaussianBlur(wide, (0, 0), 2)[:, 2 * frame : 2 * frame + 96])


def write_film(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    with create_video(path, 10) as video:
        for picture in pictures:
            video.write(picture)
    return path


def test_videos_need_no_annotations(here: Path) -> None:
    """The engine finds the same everywhere: calm where nothing moves, and off by two pixels where the picture does."""
    engine = write_engine(here / "scripted.onnx")
    write_film(here / "still.mp4", [moving(0)] * 5)
    write_film(here / "<b>.mp4", [moving(frame) for frame in range(9)])
    result = run(engine, "--video", "still.mp4", "--video", "<b>.mp4", "--json", "f.json", "--report", "report")
    assert result.exit_code == 0, result.stderr
    figures = json.loads((here / "f.json").read_text())
    assert figures == json.loads((here / "report" / "metrics.json").read_text())
    still, slid = figures["videos"]
    assert [still["name"], slid["name"]] == ["still.mp4", "<b>.mp4"]
    assert (still["frames"], still["still_steps"], still["discarded"]) == (5, 4, None)
    assert (slid["frames"], slid["still_steps"]) == (9, 0) and 0 < slid["discarded"] < 0.2
    for way in ("as_found", "smoothed"):
        calm, off = still[way], slid[way]
        assert (calm["iou"], calm["iou_p5"], calm["floor"], calm["lost"], calm["instances"]) == (1, 1, 1, 0, 3 * 4)
        assert calm["area"] == 0 and calm["box"] < 1e-6 and calm["score"] < 1e-6
        assert off["lost"] == off["left_out"] == 0 and off["score"] < 1e-6 and 0.97 < off["floor"] <= 1
        # Masks of 48 by 72 and 48 by 36 pixels seem to be two pixels too far to the right, but for what leaves.
        assert 0.93 < off["iou"] < 0.98 and off["instances"] == 3 * 8
        assert [round(step["time"], 3) for step in off["over_time"]] == [round(k / 10, 3) for k in range(1, 9)]
        assert figures[way]["instances"] == 3 * 12
    lines = result.stdout.splitlines()
    assert lines[0] == "still.mp4: 5 frames; nothing moves, so masks were compared where they are"
    assert lines[1].startswith(
        "<b>.mp4: 9 frames; the picture moves, so masks were moved by optical flow; the flow was"
    )
    assert [line.split()[0] for line in lines[4::2]] == ["still.mp4", "<b>.mp4", "all"]
    page = (here / "report" / "report.html").read_text()
    assert page.count("<svg") == 2 * 3 and "<b>.mp4" not in page and "&lt;b&gt;.mp4" in page
    assert page.count("a worst step</figcaption>") > 0 and page.count("<img") >= 2 * (5 + 5)
    assert all(source.startswith("data:image/jpeg") for source in re.findall(r'src="([^"]*)"', page))


def test_a_limit_takes_the_first_frames(here: Path) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_film(here / "still.mp4", [moving(0)] * 5)
    result = run(engine, "--video", "still.mp4", "--limit", "3", "--top-k", "2", "--json", "f.json")
    assert result.exit_code == 0 and result.stdout.startswith("still.mp4: 3 frames; ")
    (figures,) = json.loads((here / "f.json").read_text())["videos"]
    assert [figures[way]["instances"] for way in ("as_found", "smoothed")] == [2 * 2] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--video", "one.mp4"], 1, "expected two frames or more to compare, got 1 frame"),
        (["--video", "film.mp4", "--limit", "1"], 1, "expected two frames or more to compare, got 1 frame"),
        (["--video", "small.mp4"], 1, "has a side of 24 pixels"),
        (["--video", "text.mp4"], 1, "cannot be opened as a video"),
        (["--video", "film.mp4", "--video", "short.mp4"], 1, "short.mp4"),
        (["--video", "missing.mp4"], 1, "missing.mp4"),
        (["--video", "film.mp4", "--images", "."], 2, "--video needs neither --images"),
        (["--video", "film.mp4", "--json", "film.mp4"], 2, "--json"),
        (["--video", "film.mp4", "--max-pixels", "2000"], 1, "96x72 pixels, expected at most 2,000"),
        ([], 2, "expected --images, a folder of images, or --video"),
    ],
)
def test_videos_that_cannot_be_measured(here: Path, arguments: list[str], code: int, words: str) -> None:
    engine = write_engine(here / "scripted.onnx")
    film = write_film(here / "film.mp4", [moving(frame) for frame in range(3)]).read_bytes()
    write_film(here / "one.mp4", [moving(0)])
    write_film(here / "small.mp4", [moving(0)[:24]] * 2)
    (here / "short.mp4").write_bytes(film[: len(film) // 2])
    (here / "text.mp4").write_bytes(b"no video")
    result = run(engine, *arguments, "--report", "report")
    assert (result.exit_code, result.stdout) == (code, "") and words in result.stderr
    assert result.stderr.count("\n") <= 2 and (here / "film.mp4").read_bytes() == film
    assert not (here / "report" / "report.html").exists()


@pytest.mark.parametrize("words", [("--video", "film.mp4"), ("--images", ".", "--top-k", "3")])
def test_what_is_for_stability(here: Path, words: tuple[str, ...]) -> None:
    engine = write_engine(here / "scripted.onnx")
    write_film(here / "film.mp4", [moving(0)] * 2)
    result = CliRunner().invoke(main, ["--engine", str(engine), *words])
    assert result.exit_code == 2 and f"{words[-2]} is for --stability" in result.stderr
