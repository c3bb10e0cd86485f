"""Commands and detectors that are given the name of a repository, or weights in the place of an engine file."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hub_server import Hub
from scripted_engine import write_photo

from yolact import Detector
from yolact.cli.main import main
from yolact.hub.known_models import KNOWN_MODELS
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import EngineError, UsageError

NAME = "some/demo"
FILE = "yolact_demo_1_2.pth"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def stored(hub: Hub, demo_checkpoint: bytes, here: Path) -> Hub:
    hub.repositories[NAME] = {"README.md": b"# demo", FILE: demo_checkpoint}
    write_photo(here / "a.png")
    return hub


def test_from_a_name_to_masks_and_again_offline(stored: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = run("infer", "--engine", NAME, "a.png")
    assert first.exit_code == 0, first.output
    told = first.stderr.splitlines()
    (engine,) = (tmp_path / "yolact" / "engines").glob("*/*.onnx")
    assert told == [
        f"downloading {FILE} of some/demo, {len(stored.repositories[NAME][FILE]) / 1e6:.1f} MB",
        f"exporting {FILE}, which takes a while the first time",
        f"exported some/demo to {engine}, which is used from now on",
    ]
    assert engine.name == "yolact_demo_1_2.onnx" and first.stdout.startswith("a.png")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    stored.requests.clear()
    again = run("infer", "--engine", NAME, "a.png")
    assert again.exit_code == 0 and again.stderr == "" and not stored.requests
    assert again.stdout.split(",")[0] == first.stdout.split(",")[0]
    with Detector.open(NAME) as by_name, Detector.open(engine) as by_file:
        assert np.array_equal(by_name("a.png").scores, by_file("a.png").scores) and str(engine) in repr(by_name)
    listed = run("models")
    assert f"  {engine} (" in listed.stdout and "exported from other weights" in listed.stdout


def test_a_local_checkpoint(stored: Hub, here: Path, demo_checkpoint: bytes, caplog: pytest.LogCaptureFixture) -> None:
    import torch
    from safetensors.torch import save_file

    name = "yolact_demo_1_2.safetensors"
    save_file(torch.load(io.BytesIO(demo_checkpoint), weights_only=True), here / name)
    with caplog.at_level(logging.WARNING), Detector.open(name, device="cpu") as detector:
        assert f"exported {name} to" in caplog.text and detector("a.png") is not None
    with pytest.raises(EngineError, match=f"{name} is a checkpoint; export it with yolact-export --weights"):
        open_engine(Path(name))
    result = run("bench", "--engine", name, "--duration", "0.05", "a.png")
    assert result.exit_code == 0 and "export" not in result.stderr, result.output
    assert not stored.requests


def test_weights_by_name(stored: Hub, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def load(path: Path, *_: object) -> None:
        seen["path"] = path
        raise UsageError("enough")

    monkeypatch.setattr("yolact.cli.export.load_model", load)
    result = run("export", "--weights", f"{NAME}@main", "--output", "x.onnx")
    assert result.exit_code == 2 and result.stderr.endswith("error: enough\n")
    assert seen["path"].name == FILE and seen["path"].read_bytes() == stored.repositories[NAME][FILE]


MISTAKES = {
    # arguments: exit code, sentence
    ("export", "--weights", "none/there"): (1, "error: there is no file none/there here, and on http://127.0.0.1"),
    ("export", "--weights", "some/demo@v9"): (1, "error: some/demo has no revision v9"),
    ("export", "--weights", "dbolya/"): (
        2,
        "there is no file 'dbolya/'; expected a file, or a Hugging Face repository",
    ),
    ("export", "--weights", "some/folder"): (2, "some/folder is a folder here"),
    ("export", "--weights", "weights/x.pth"): (1, "cannot read weights/x.pth: No such file or directory"),
    ("infer", "--engine", "missing.onnx", "a.png"): (2, "'missing.onnx' does not exist"),
    ("infer", "--engine", "x.pth", "a.png"): (2, "'x.pth' does not exist"),
    ("infer", "--engine", "some", "a.png"): (2, "'some' is a directory"),
    ("infer", "--engine", "a b", "a.png"): (2, "there is no file 'a b'; expected a file"),
    ("infer", "--engine", NAME): (2, "Missing argument 'SOURCE...'"),  # before anything is downloaded
    ("eval", "--weights", "a//b", "--annotations", "a.json", "--images", "."): (2, "there is no file 'a//b'"),
    ("diff", "--engine", "some/demo@v9", "--reference", "a.onnx"): (1, "some/demo has no revision v9"),
    ("train", "--config", "yolact_demo", "--data", "scenes:1", "--weights", "some/demo@v9"): (1, "no revision v9"),
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda arguments: " ".join(arguments[:3]))
def test_mistakes(arguments: tuple[str, ...], stored: Hub, here: Path) -> None:
    (here / "some" / "folder").mkdir(parents=True)
    result = run(*arguments)
    code, sentence = MISTAKES[arguments]
    assert result.exit_code == code and sentence in result.stderr, result.output
    assert result.stderr.count("\n") == 1 and not any("/resolve/" in path for _, path, _ in stored.requests)


def test_detectors_that_cannot_be_opened(stored: Hub) -> None:
    with pytest.raises(EngineError, match="there is no file none/there here, and on http"):
        Detector.open("none/there")
    with pytest.raises(EngineError, match=r"there is no engine file x.pth"):
        Detector.open("x.pth")


def test_the_list(stored: Hub) -> None:
    result = run("models")
    assert result.exit_code == 0 and result.stderr == "" and not stored.requests
    lines = result.stdout.splitlines()
    assert len(lines) == 1 + len(KNOWN_MODELS) and "downloaded" not in result.stdout
    for line, model in zip(lines[1:], KNOWN_MODELS, strict=True):
        assert line.startswith(f"{model.name} ") and (model.mask_ap is None or f" {model.mask_ap} " in line)
    stored.repositories["dbolya/yolact-base"] = {"yolact_base_54_800000.pth": b"no checkpoint"}
    assert run("export", "--weights", "dbolya/yolact-base", "--output", "x.onnx").exit_code == 1
    assert "  downloaded: " in run("models").stdout
