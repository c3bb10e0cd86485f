"""--strict, --exif, --by-name and --by-id, which every command that reads annotations has."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import cv2
import missing
import numpy as np
import pytest
from annotation_content import CONTENT
from click.testing import CliRunner, Result
from exif_pictures import jpeg

from yolact.cli.main import main
from yolact.diff.images import find_images
from yolact.runtime.errors import DatasetError
from yolact.training.data.coco.reading_rules import ReadingRules

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def write(here: Path, picture: bytes) -> None:
    """a.json, whose only object has another box than its mask, and images/."""
    content = copy.deepcopy(CONTENT)
    content["images"][0]["file_name"] = "a.jpg"
    content["annotations"][0]["bbox"] = [40, 25, 15, 10]
    (here / "images").mkdir()
    (here / "images" / "a.jpg").write_bytes(picture)
    (here / "a.json").write_text(json.dumps(content))


def test_strict(engine: Path, here: Path) -> None:
    write(here, cv2.imencode(".jpg", PIXELS)[1].tobytes())
    wrong = "a.json: annotation 1 has a box [40, 25, 15, 10] that is not around its mask, which spans [10, 5, 20, 10]"
    evaluating = ["eval", "--engine", engine, "--annotations", "a.json", "--images", "images"]
    result = run(*evaluating, "--strict")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {wrong}\n")
    assert run(*evaluating).exit_code == 0
    training = ["train", "--config", "yolact_demo", "--device", "cpu", "--data", "a.json,images", "--output", "run"]
    result = run(*training, "--strict")
    assert result.exit_code == 1 and f"error: {wrong}\n" in result.stderr
    with pytest.raises(DatasetError, match="is not around its mask"):
        find_images(Path("images"), None, Path("a.json"), ReadingRules(strict=True))
    assert len(find_images(Path("images"), None, Path("a.json")).images) == 1


def test_exif(engine: Path, here: Path) -> None:
    write(here, jpeg(PIXELS, 6))
    evaluating = ["eval", "--engine", engine, "--annotations", "a.json", "--images", "images"]
    result = run(*evaluating)
    assert result.exit_code == 1 and "read it with --exif keep" in result.stderr
    assert run(*evaluating, "--exif", "keep").exit_code == 0
    kept = find_images(Path("images"), None, Path("a.json"), ReadingRules(exif="keep")).images[0]
    assert kept.read().shape == (40, 60, 3)


@pytest.mark.parametrize("option", [("--strict",), ("--exif", "keep"), ("--by-name",), ("--by-id",)])
@pytest.mark.parametrize(
    ("command", "owner"),
    [
        (["diff", "--engine", "a.onnx", "--reference", "b.onnx"], "--annotations"),
        (["sensitivity", "--engine", "a.json", "--calib-data", "images"], "--annotations"),
        (["export", "--weights", "a.pth"], "--verify"),
    ],
)
def test_without_annotations(here: Path, command: list[str], owner: str, option: tuple[str, ...]) -> None:
    write(here, b"")
    result = run(*command, *option)
    assert result.exit_code == 2 and f"{option[0]} is for {owner}" in result.stderr


def test_training_measures_nothing_without_validation(here: Path) -> None:
    write(here, b"")
    result = run("train", "--config", "yolact_demo", "--data", "a.json,images", "--by-id")
    assert result.exit_code == 2 and "--by-id is for --val" in result.stderr


def test_faults_are_listed_a_line_each(engine: Path, here: Path) -> None:
    """Only line breaks of our own are printed; those of the file are escaped."""
    content = copy.deepcopy(CONTENT)
    content["categories"][0]["name"] = "kite\ud800\n\x1b[31m"
    content["images"][0]["file_name"] = "a\nb.png"
    content["annotations"] = [{**content["annotations"][0], "id": id, "area": f"{id}\r\n 9. x"} for id in range(3)]
    (here / "a.json").write_text(json.dumps(content))
    result = run("eval", "--engine", engine, "--annotations", "a.json", "--images", ".")
    assert (result.exit_code, result.stdout) == (1, "") and "\x1b" not in result.stderr
    head, *faults = result.stderr.splitlines()
    assert head == "error: a.json has 5 faults:"
    assert [fault[:17] for fault in faults] == [
        "   1. category 9 ", *(f"   {2 + id}. annotation " for id in range(3)), "   5. image 7: a\\"]  # fmt: skip


def test_contradictions_are_listed_a_line_each(engine: Path, here: Path) -> None:
    write(here, cv2.imencode(".jpg", PIXELS)[1].tobytes())
    content = json.loads((here / "a.json").read_text())
    for category in content["categories"]:
        category["name"] = "a\nb"
    (here / "a.json").write_text(json.dumps(content))
    lines = run("eval", "--engine", engine, "--annotations", "a.json", "--images", "images").stderr.splitlines()
    assert lines[0] == "warning: a.json contradicts itself in 2 places (boxes 1, names 1); --strict refuses it:"
    assert lines[1].startswith("   1. annotation 1 has") and lines[2].startswith("   2. categories 3, 9 are all called")
