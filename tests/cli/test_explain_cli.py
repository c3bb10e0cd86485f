"""The command `yolact-explain` from its arguments to its picture."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from explanations import write_checkpoint

from yolact.cli.explain import main
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.images.image_files import read_image, write_image
from yolact.training.explain.explanation import EngineExplainer
from yolact.training.explain.pictures import explanation_sheet

LINE = re.compile(r"(person|dog|kite) (0\.\d\d|1\.00): P\d+ [+-]\d\.\d\d(, P\d+ [+-]\d\.\d\d){3}")


def run(*arguments: str | Path) -> Result:
    """Run the command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def photo(here: Path, photos: list[np.ndarray]) -> Path:
    (here / "in").mkdir()
    write_image(here / "in" / "photo.png", photos[2])
    return Path("in/photo.png")


@pytest.fixture(scope="module")
def checkpoint(tiny_config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tiny_config, tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def models(tiny_engine: Path, tiny_raw_engine: Path, checkpoint: Path) -> dict[str, list[str | Path]]:
    return {
        "full": ["--engine", tiny_engine],
        "raw": ["--engine", tiny_raw_engine],
        "checkpoint": ["--weights", checkpoint],
    }


def test_every_form_of_a_network_gives_the_same_lines(
    models: dict[str, list[str | Path]], photo: Path, here: Path
) -> None:
    outputs = {}
    for form, model in models.items():
        result = run(*model, photo, "--output", f"{form}.png")
        assert result.exit_code == 0, result.stderr
        *lines, last = result.stdout.splitlines()
        assert last == f"wrote {form}.png"
        assert len(lines) == 3 and all(LINE.fullmatch(line) for line in lines), lines
        outputs[form] = lines
    assert outputs["full"] == outputs["raw"] == outputs["checkpoint"]


def test_the_picture_and_the_lines_show_what_the_engine_computes(tiny_engine: Path, photo: Path, here: Path) -> None:
    result = run("--engine", tiny_engine, photo, "--instances", "2", "--score-threshold", "0.3")
    assert result.exit_code == 0, result.stderr
    *lines, last = result.stdout.splitlines()
    assert last == "wrote photo-explained.png"
    explain, image = EngineExplainer(tiny_engine), read_image(photo)
    explanation = explain(image).select(0.3, 15)
    names = explain.metadata.config.class_names
    np.testing.assert_array_equal(read_image("photo-explained.png"), explanation_sheet(image, explanation, names, 2))
    assert len(lines) == 2
    for index, line in enumerate(lines):
        title, prototypes = line.split(": ")
        assert title == f"{names[explanation.found.class_ids[index]]} {explanation.found.scores[index]:.2f}"
        strongest = np.argsort(-explanation.contributions(index))[:4].tolist()
        assert prototypes == ", ".join(f"P{k} {explanation.coefficients[index, k]:+.2f}" for k in strongest)


@pytest.mark.parametrize("form", ["full", "checkpoint"])
def test_nothing_found(models: dict[str, list[str | Path]], photo: Path, form: str) -> None:
    result = run(*models[form], photo, "--score-threshold", "1")
    assert (result.exit_code, result.stdout) == (0, "no detections\nwrote photo-explained.png\n")
    assert read_image("photo-explained.png").shape[1] > 1000


def test_more_instances_than_there_are(models: dict[str, list[str | Path]], photo: Path) -> None:
    arguments = (photo, "--instances", "500", "--score-threshold", "0.71")
    lines = {form: run(*model, *arguments).stdout.splitlines() for form, model in models.items()}
    assert 1 < len(lines["full"]) < 20
    assert lines["full"] == lines["raw"]


def test_a_checkpoint_is_asked_for_detections_below_the_official_threshold(
    export_seeded: Callable[..., Path], here: Path
) -> None:
    """An engine has its threshold built in, a checkpoint has not: in a blank image all scores are below 0.05."""
    write_image(here / "blank.png", np.full((40, 60, 3), 90, np.uint8))
    arguments = ("blank.png", "--instances", "2", "--score-threshold", "0.01")
    config = ModelConfig("tiny", "resnet50", 160, ("person", "dog", "kite"))
    full = export_seeded(config, here / "full.onnx", PostprocessConfig(max_detections=20))
    assert run("--engine", full, *arguments).stdout.startswith("no detections\n")
    lines = run("--weights", write_checkpoint(config, here), *arguments).stdout.splitlines()
    assert len(lines) == 3 and all(" 0.04: " in line for line in lines[:-1])


def test_an_earlier_picture_is_replaced(tiny_raw_engine: Path, photo: Path) -> None:
    Path("photo-explained.png").write_bytes(b"old")
    assert run("--engine", tiny_raw_engine, photo).exit_code == 0
    assert read_image("photo-explained.png").size


def damage(path: Path, name: str) -> Path:
    """The first half of a file."""
    damaged = Path(name)
    damaged.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return damaged


Files = dict[str, Path]
BAD: list[tuple[str, Callable[[Files], list[str | Path]], int, str]] = [
    ("no such image", lambda f: ["--engine", f["raw"], "none.jpg"], 1, "none.jpg: there is no such file"),
    ("an image that is a folder", lambda f: ["--engine", f["raw"], "in"], 1, "expected an image file, got a folder"),
    ("a damaged image", lambda f: ["--engine", f["raw"], damage(f["photo"], "d.png")], 1, "d.png: this PNG is trunc"),
    ("no image", lambda f: ["--engine", f["raw"], f["raw"]], 1, "this is no image"),
    ("an engine that is no ONNX", lambda f: ["--engine", f["photo"], f["photo"]], 4, "cannot be opened as an ONNX"),
    ("a damaged engine", lambda f: ["--engine", damage(f["full"], "d.onnx"), f["photo"]], 4, "cannot be opened as an"),
    ("another's engine", lambda f: ["--engine", f["scripted"], f["photo"]], 4, "no tensor 'prototypes' inside"),
    ("no such engine", lambda f: ["--engine", "none.onnx", f["photo"]], 2, "does not exist"),
    ("no such checkpoint", lambda f: ["--weights", "none.pth", f["photo"]], 1, "cannot read none.pth"),
    ("a damaged checkpoint", lambda f: ["--weights", damage(f["pth"], "d.pth"), f["photo"]], 1, "d.pth is not a PyT"),
    (
        "an engine as checkpoint",
        lambda f: ["--weights", f["raw"], f["photo"]],
        1,
        "is an ONNX file; give it as --engine",
    ),
    (
        "another configuration",
        lambda f: ["--weights", f["pth"], "--config", "yolact_darknet53", f["photo"]],
        1,
        "yolact_darknet53",
    ),
    (
        "an unknown configuration",
        lambda f: ["--weights", f["pth"], "--config", "yolo", f["photo"]],
        2,
        "no configuration is called 'yolo'",
    ),
    ("neither", lambda f: [f["photo"]], 2, "expected either --engine or --weights, got neither"),
    (
        "both",
        lambda f: ["--engine", f["raw"], "--weights", f["pth"], f["photo"]],
        2,
        "expected either --engine or --weights, got both",
    ),
    ("--config of an engine", lambda f: ["--engine", f["raw"], "--config", "yolact_base", f["photo"]], 2, "belongs to"),
    ("no image given", lambda f: ["--engine", f["raw"]], 2, "Missing argument 'IMAGE'"),
    (
        "the image as output",
        lambda f: ["--engine", f["raw"], f["photo"], "--output", f["photo"]],
        2,
        "is one of the inputs",
    ),
    (
        "the engine as output",
        lambda f: ["--engine", shutil.copy(f["raw"], "e.png"), f["photo"], "--output", "in/../e.png"],
        2,
        "is one of the inputs",
    ),
    (
        "an output folder that is not there",
        lambda f: ["--engine", f["raw"], f["photo"], "--output", "out/x.png"],
        2,
        "there is no folder out; create it first",
    ),
    ("a folder as output", lambda f: ["--engine", f["raw"], f["photo"], "--output", "in"], 2, "is a directory"),
    (
        "an output that is no picture",
        lambda f: ["--engine", f["raw"], f["photo"], "--output", "x.txt"],
        2,
        "expected a name that ends in .jpg",
    ),
    ("too few instances", lambda f: ["--engine", f["raw"], f["photo"], "--instances", "0"], 2, "--instances"),
    ("a threshold above 1", lambda f: ["--engine", f["raw"], f["photo"], "--score-threshold", "2"], 2, "from 0 to 1"),
    ("no threshold", lambda f: ["--engine", f["raw"], f["photo"], "--score-threshold", "nan"], 2, "from 0 to 1"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_cannot_be_explained(
    tiny_engine: Path,
    tiny_raw_engine: Path,
    checkpoint: Path,
    engine: Path,
    photo: Path,
    here: Path,
    arguments: Callable[[Files], list[str | Path]],
    code: int,
    message: str,
) -> None:
    files = {"full": tiny_engine, "raw": tiny_raw_engine, "pth": checkpoint, "scripted": engine, "photo": photo}
    given = arguments(files)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    result = run(*given)
    assert result.exit_code == code, result.output
    assert message in result.stderr and "Traceback" not in result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_missing_libraries_are_named(
    tiny_engine: Path, checkpoint: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library, model in (("torch", ["--weights", checkpoint]), ("onnx", ["--engine", tiny_engine])):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            result = run(*model, photo)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"needs {library}; install it with: pip install -e '.[export]'" in result.stderr


def test_an_engine_needs_no_torch(tiny_raw_engine: Path, photo: Path) -> None:
    program = (
        "import sys, yolact.cli.explain as cli\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'cv2'} & set(sys.modules), 'after import'\n"
        "cli.main(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'torch', 'onnx'} & set(sys.modules), 'after explaining'\n"
    )
    command = [sys.executable, "-c", program, "--engine", str(tiny_raw_engine), str(photo)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("wrote photo-explained.png\n")
