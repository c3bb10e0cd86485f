"""`yolact-diff` as its users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from diff_networks import CONFIG, damage, export, lively_state
from scripted_engine import write_engine

pytest.importorskip("polygraphy", reason=missing.POLYGRAPHY)

from yolact.cli.diff import main
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import write_image

DAMAGED = "fpn.lat_layers.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: list[Image]) -> Path:
    """Working directory with engines and the folder `photos`."""
    folder = tmp_path_factory.mktemp("diff")
    export(folder / "sound.onnx")
    export(folder / "raw.onnx", graph="raw")
    export(folder / "half.onnx", precision="fp16")
    export(folder / "bf16.onnx", precision="bf16")
    export(folder / "three.onnx", batch=3)
    torch.save(lively_state(), folder / "checkpoint.pth")
    damage(folder / "sound.onnx", folder / "damaged.onnx", DAMAGED, 0.3)
    export(folder / "other.onnx", CONFIG.with_classes(("person", "cat", "kite")))
    (folder / "photos").mkdir()
    for index, photo in enumerate(photos):
        write_image(folder / "photos" / f"{index}.png", photo)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(*arguments: str | Path) -> Result:
    """The command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def diff(engine: str, reference: str, *arguments: str | Path) -> Result:
    return run("--engine", engine, "--reference", reference, *arguments)


def repeat(result: Result) -> subprocess.CompletedProcess[str]:
    """Runs the printed commands in a shell."""
    command = result.stdout.split("to repeat this comparison with Polygraphy:\n")[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(["bash", "-ec", command], env={**os.environ, "PATH": path}, capture_output=True, text=True)


def test_a_file_is_like_itself_on_made_up_scenes() -> None:
    result = diff("sound.onnx", "sound.onnx", "--layers")
    assert result.exit_code == 0, result.output
    assert "on 2 images, 128x128" in result.stdout and "first suspect: none" in result.stdout
    assert re.search(r"detections that score above 0.15: [1-9]\d* matched, 0 missed, 0 spurious", result.stdout)
    assert "FAILED" not in result.stdout and result.stderr == ""


def test_a_damaged_module_is_named_and_fails() -> None:
    result = diff("damaged.onnx", "sound.onnx", "--layers", "--data", "photos", "--limit", "2")
    assert result.exit_code == 3, result.output
    assert f"first suspect: {DAMAGED}, which adds a relative error of " in result.stdout
    assert result.stdout.split("layers that add most")[1].splitlines()[1].startswith(f"{DAMAGED} ")
    assert "FAILED: relative error of prototypes" in result.stdout
    assert "ONNX Runtime's graph optimisations" not in result.stdout  # they are innocent here


PAIRS = [("half", "sound"), ("bf16", "sound"), ("sound", "three"), ("sound", "raw"), ("checkpoint", "sound")]


@pytest.mark.parametrize(("engine", "reference"), PAIRS)
def test_all_forms_of_a_network_are_alike(engine: str, reference: str) -> None:
    limits = ["--min-mask-iou", "0.8", "--max-missed", "0.1", "--max-spurious", "0.1"] if engine == "bf16" else []
    files = [f"{name}.pth" if name == "checkpoint" else f"{name}.onnx" for name in (engine, reference)]
    result = diff(*files, "--limit", "1", "--layers", *limits)
    assert result.exit_code == 0, result.output
    assert "first suspect: none" in result.stdout and " 0 missed, 0 spurious" in result.stdout
    assert all(head in result.stdout for head in ("locations", "confidences", "coefficients", "prototypes"))


def test_thresholds_are_the_users() -> None:
    assert diff("half.onnx", "sound.onnx", "--limit", "1", "--max-head-error", "0.00001").exit_code == 3
    limits = ["--max-missed", "1", "--max-spurious", "1", "--max-score-difference", "1"]
    limits += ["--max-head-error", "1", "--min-box-iou", "0", "--min-mask-iou", "0"]
    lax, strict = (diff("damaged.onnx", "sound.onnx", "--limit", "1", *options) for options in (limits, limits[:-6]))
    assert lax.exit_code == 0 and "share of spurious detections" in lax.stdout and ", at most 1" in lax.stdout
    assert (
        strict.exit_code == 3 and "FAILED: share of missed" not in strict.stdout and "FAILED: relative" in strict.stdout
    )


def test_polygraphy_repeats_it() -> None:
    passing = diff("half.onnx", "sound.onnx", "--data", "photos", "--limit", "2", "--layers", "--max-missed", "0.05")
    assert passing.exit_code == 0, passing.output
    again = repeat(passing)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "PASSED" in again.stdout and again.stdout.count("prototypes: relative error") == 2  # one for each image
    assert "backbone.layers.3.1: relative error" in again.stdout


def test_polygraphy_repeats_raw_graphs_and_limits() -> None:
    strict = diff("raw.onnx", "half.onnx", "--limit", "1", "--max-head-error", "0")
    assert strict.exit_code == 3
    again = repeat(strict)
    found = re.search(r"([1-9]\d*) matched, (\d+) missed, (\d+) spurious", strict.stdout)
    assert found is not None and f"detections: {found[0]}" in again.stdout
    assert again.returncode != 0 and "FAILED: relative error of prototypes" in again.stdout


def test_average_precision_of_both(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)
    write_engine(tmp_path / "scripted.onnx")
    write_image(tmp_path / "images.png", np.full((40, 60, 3), 200, np.uint8))
    box: dict[str, Any] = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [0, 0, 30, 40], "area": 1200, "iscrowd": 0}
    box["segmentation"] = [[0, 0, 30, 0, 30, 40, 0, 40]]
    content = {
        "images": [{"id": 5, "file_name": "images.png", "height": 40, "width": 60}],
        "annotations": [box],
        "categories": [
            {"id": id, "name": name} for id, name in enumerate(["person", "dog", "traffic light", "Bus"], 1)
        ],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    engine = str(tmp_path / "scripted.onnx")
    report = tmp_path / "report.html"
    result = diff(
        engine, engine, "--data", tmp_path, "--annotations", tmp_path / "annotations.json", "--report", report
    )
    assert result.exit_code == 0, result.output
    assert "3 matched, 0 missed, 0 spurious" in result.stdout  # the fourth scores 0.1
    rows = dict(line.split(None, 1) for line in result.stdout.split("AP  ")[1].splitlines()[1:3])
    assert rows["engine"] == rows["reference"] and rows["engine"].split() == ["100.00"] * 4
    assert "no heads were compared" in result.stdout  # the scripted graph has none
    assert "Average precision" in report.read_text()
    other = [{**box, "category_id": 4}], [{"id": 5 - one["id"], "name": one["name"]} for one in content["categories"]]
    (tmp_path / "annotations.json").write_text(json.dumps({**content, "annotations": other[0], "categories": other[1]}))
    result = diff(engine, engine, "--data", tmp_path, "--annotations", tmp_path / "annotations.json")
    assert result.exit_code == 0 and "100.00" in result.stdout
    assert "note: 4 classes paired by name, of which annotations.json numbers 4 otherwise than the" in result.stdout
    for objects, got in (([{**box, "category_id": 4}], "0.00, too near zero"), ([], "not defined")):
        content["annotations"] = objects
        (tmp_path / "annotations.json").write_text(json.dumps(content))
        result = diff(
            engine, engine, "--data", tmp_path, "--annotations", tmp_path / "annotations.json", "--report", report
        )
        assert result.exit_code == 1 and f"the reference's mask AP on {tmp_path / 'annotations.json'} is {got}" in (
            result.stderr
        )
        assert "not judged" in report.read_text() and "within all limits" not in report.read_text()


REJECTED = {
    "no engine": (("--reference", "sound.onnx"), 2, "--engine"),
    "a missing engine": (("--engine", "none.onnx", "--reference", "sound.onnx"), 4, "none.onnx"),
    "a missing checkpoint": (("--engine", "none.pth", "--reference", "sound.onnx"), 1, "none.pth"),
    "no engine at all": (("--engine", "noise.onnx", "--reference", "sound.onnx"), 4, "noise.onnx"),
    "other classes": (("--engine", "other.onnx", "--reference", "sound.onnx"), 4, "person, cat, kite"),
    "no layers": (("--engine", "scripted.onnx", "--reference", "scripted.onnx", "--layers"), 4, "share no layers"),
    "an empty folder": (("--data", "empty"), 1, "holds no image"),
    "no folder": (("--data", "nowhere"), 1, "expected a folder"),
    "a file": (("--data", "sound.onnx"), 1, "expected a folder"),
    "a damaged image": (("--data", "broken"), 1, "broken/1.png"),
    "too many scenes": (("--limit", "3"), 2, "2 made-up scenes"),
    "none": (("--limit", "0"), 2, "--limit"),
    "annotations alone": (("--annotations", "a.json"), 2, "--data"),
    "missing annotations": (("--data", "photos", "--annotations", "a.json"), 1, "a.json"),
    "a threshold": (("--min-mask-iou", "1.5"), 2, "from 0 to 1"),
    "not a number": (("--max-missed", "nan"), 2, "from 0 to 1"),
    "a device": (("--device", "abacus"), 2, "abacus"),
    "no such device": (("--device", "cuda"), 2, "CUDAExecutionProvider"),
    "a configuration": (("--config", "yolact_base"), 2, "checkpoints"),
    "metadata": (("--metadata", "sound.onnx"), 2, "--metadata"),
    "a report nowhere": (("--report", "nowhere/r.html"), 2, "no folder"),
    "a report on an input": (("--report", "sound.onnx"), 2, "one of the inputs"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_is_rejected(case: str, folder: Path) -> None:
    arguments, exit_code, words = REJECTED[case]
    (folder / "noise.onnx").write_bytes(b"noise")
    write_engine(folder / "scripted.onnx")
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "broken").mkdir(exist_ok=True)
    write_image(folder / "broken" / "0.png", np.zeros((8, 9, 3), np.uint8))
    (folder / "broken" / "1.png").write_bytes((folder / "photos" / "0.png").read_bytes()[:1000])
    pair = () if {"--engine", "--reference"} & {*arguments} else ("--engine", "sound.onnx", "--reference", "sound.onnx")
    report = () if "--report" in arguments else ("--report", "partial.html")
    before = sorted(path.name for path in folder.iterdir())
    result = run(*pair, *report, *arguments)
    assert result.exit_code == exit_code, result.output
    assert words in result.stderr and "Traceback" not in result.output and result.stdout == ""
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_polygraphy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polygraphy.comparator", None)
    result = diff("sound.onnx", "sound.onnx")
    assert result.exit_code == 1 and "pip install -e '.[diff]'" in result.stderr


def test_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "yolact.cli.diff", "--engine", "sound.onnx", "--reference", "raw.onnx"]
    done = subprocess.run([*command, "--limit", "1"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.startswith("engine     sound.onnx (small, fp32)")
