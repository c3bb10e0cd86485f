"""`yolact-eval --stability --annotations`: tracks of an engine with known answers, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
from click.testing import CliRunner, Result
from scripted_engine import BOXES, CLASS_NAMES, CLASSES, write_engine

from yolact.cli.eval import main
from yolact.runtime.images.image_files import write_image

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

SIZE = (40, 60)


def write_videos(folder: Path, frames: dict[int, list[bool]]) -> dict[str, Any]:
    """Videos by their ids: frames in which the engine sees something, or nothing as they are black."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for video, visible in frames.items():
        for frame, bright in enumerate(visible):
            id = len(images) + 1
            name = f"{video}_{frame}.png"
            write_image(folder / "images" / name, np.full((*SIZE, 3), 200 if bright else 0, np.uint8))
            sizes = {"height": SIZE[0], "width": SIZE[1]}
            images.append({"id": id, "file_name": name, **sizes, "video_id": video, "frame_id": frame})
            for track, (box, class_id) in enumerate(zip(BOXES[:3], CLASSES[:3], strict=True), 1):
                left, top, right, bottom = np.rint(np.array(box) * (60, 40, 60, 40)).astype(int).tolist()
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": id,
                        "category_id": class_id + 1,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "iscrowd": 0,
                        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                        "track_id": track,
                    }
                )
    categories = [{"id": id, "name": name} for id, name in enumerate(CLASS_NAMES, 1)]
    return {"images": images[::-1], "annotations": annotations, "categories": categories}


def run(here: Path, content: dict[str, Any], *more: str) -> Result:
    (here / "a.json").write_text(json.dumps(content))
    engine = write_engine(here / "scripted.onnx")
    arguments = ["--engine", str(engine), "--images", "images", "--annotations", "a.json", "--stability", *more]
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_figures_are_those_counted_by_hand(here: Path) -> None:
    """The first video has one frame of five in which none of the three is found; frames are in no order in the file."""
    content = write_videos(here, {7: [True, True, False, True, True], 2: [True, True]})
    result = run(here, content, "--json", "figures.json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads((here / "figures.json").read_text())
    for way in ("as_found", "smoothed"):
        one = figures[way]
        by_count = {round(scores["idf1"], 3): scores for scores in one["videos"]}
        assert set(by_count) == {round(2 * 12 / 27, 3), 1.0}
        broken, whole = by_count[round(2 * 12 / 27, 3)], by_count[1.0]
        assert broken["hota"] == pytest.approx(0.8) and whole["hota"] == pytest.approx(1)
        assert (broken["switches"], broken["tracks"], broken["objects"]) == (0, 3, 3)
        assert one["hota"] == pytest.approx(0.9) and one["switches"] == 0
        # Found again: 3 of 3, 0 of 3, nothing to find, 3 of 3; in the other video 3 of 3.
        assert one["stability"]["instances"] == 12 and one["stability"]["lost"] == pytest.approx(1 / 4)
        assert one["stability"]["iou"] == pytest.approx(1, abs=2e-3) and one["stability"]["floor"] is None
        assert one["stability"]["score"] < 1e-6 and one["stability"]["box"] < 1e-6
        assert one["mask_ap"] == pytest.approx(one["box_ap"]) and 0.8 < one["mask_ap"] < 0.9
    assert "as found      90.00" in result.stdout and result.stdout.startswith("2 videos")


def test_only_the_best_instances_are_shown(here: Path) -> None:
    """Of three in each of two frames one is, all of which count in average precision."""
    content = write_videos(here, {1: [True, True]})
    all_of_them, best = (run(here, content, "--top-k", count, "--json", f"{count}.json") for count in ("3", "1"))
    assert all_of_them.exit_code == best.exit_code == 0
    more, less = (json.loads((here / f"{count}.json").read_text())["as_found"] for count in ("3", "1"))
    assert (more["stability"]["lost"], less["stability"]["lost"], more["stability"]["instances"]) == (0, 0, 3)
    assert less["stability"]["instances"] == 1 and less["mask_ap"] == more["mask_ap"]
    assert less["idf1"] == pytest.approx(2 * 2 / (2 + 6))


def test_a_crowd_needs_no_track_and_is_not_asked_for(here: Path) -> None:
    content = write_videos(here, {1: [True, True]})
    for row in content["annotations"]:
        if row["track_id"] == 3:
            row["iscrowd"] = 1
            del row["track_id"]
    result = run(here, content, "--json", "figures.json")
    assert result.exit_code == 0, result.stderr
    one = json.loads((here / "figures.json").read_text())["as_found"]["videos"][0]
    assert one["hota"] == pytest.approx(1) and one["objects"] == one["tracks"] == 2


def spoil(content: dict[str, Any], kind: str, name: str, value: Any) -> dict[str, Any]:
    entry = content[kind][1]
    if value is None:
        del entry[name]
    else:
        entry[name] = value
    return content


@pytest.mark.parametrize(
    ("kind", "name", "value", "words"),
    [
        ("images", "video_id", None, "has video_id"),
        ("images", "frame_id", None, "has frame_id"),
        ("images", "frame_id", 1.5, "has frame_id 1.5; expected a whole number"),
        ("images", "frame_id", 2, "have the same video_id and frame_id"),
        ("annotations", "track_id", None, "has track_id"),
        ("annotations", "track_id", "first", "expected a whole number, the same for an object"),
        ("annotations", "track_id", True, "expected a whole number, the same for an object"),
        ("annotations", "track_id", 1, "have track_id 1"),
    ],
)
def test_files_without_tracks_are_refused(here: Path, kind: str, name: str, value: Any, words: str) -> None:
    result = run(here, spoil(write_videos(here, {1: [True, True, True]}), kind, name, value), "--json", "f.json")
    assert (result.exit_code, result.stdout) == (1, "") and words in result.stderr and result.stderr.count("\n") == 1
    assert not (here / "f.json").exists()


def test_numbers_may_be_text(here: Path) -> None:
    content = write_videos(here, {1: [True, True]})
    for entry in (*content["images"], *content["annotations"]):
        entry |= {name: str(entry[name]) for name in ("frame_id", "track_id") if name in entry}
    assert run(here, content).exit_code == 0


def test_the_page_shows_each_video_and_its_worst_moments(here: Path) -> None:
    """Nothing is found in one frame of the second video, whose images come first in the file; the first is calm."""
    content = write_videos(here, {1: [True, True], 2: [True, True, False, True]})
    result = run(here, content, "--report", "report", "--json", "figures.json")
    assert result.exit_code == 0, result.stderr
    figures = (here / "figures.json").read_bytes()
    assert (here / "report" / "metrics.json").read_bytes() == figures
    page = (here / "report" / "report.html").read_text()
    assert page.count("<h2>") == 2 and page.count("<svg") == 2 * 3
    assert all(source.startswith("data:image/jpeg") for source in re.findall(r'src="([^"]*)"', page))
    second, first = page.split("<h2>")[1:]
    assert first.count("<img") == 2 * 2 and second.count("<img") == 2 * 4, "each frame in both ways"
    assert second.count("as found, frame 2, a worst step</figcaption>") == 1
    hota = f"{100 * json.loads(figures)['as_found']['hota']:.2f}"
    assert f'<td class="number">{hota}</td>' in page and page.count("<tr>") == 1 + 2 + 2 * 2
