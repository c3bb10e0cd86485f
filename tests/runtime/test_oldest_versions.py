"""The runtime with the oldest NumPy, OpenCV and ONNX Runtime that the package accepts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_once import MakeOnce
from packaging.version import Version
from repository import ROOT

from yolact.runtime.config import ModelConfig, PostprocessConfig

CONSTRAINTS = ROOT / "tests" / "constraints" / "oldest.txt"
"""What `make test-oldest` installs."""


def test_the_constraints_are_the_lower_ends_of_what_is_allowed() -> None:
    declared = (ROOT / "pyproject.toml").read_text()
    lowest = {name: Version(version) for name, version in re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)', declared)}
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+?)(?:\.\*)?$", CONSTRAINTS.read_text(), re.MULTILINE))
    assert pinned.pop("torch") == version("torch").partition("+")[0]
    assert {name: Version(pin) for name, pin in pinned.items()} == {name: lowest[name] for name in pinned}
    (always,) = re.findall(r"^dependencies = \[(.*?)^\]", declared, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r'"([\w-]+)', always)) <= pinned.keys()
    assert "<" not in always  # so that `make test-newest` gets the newest


@pytest.fixture(scope="module")
def oldest(make_once: MakeOnce) -> Path:
    """A folder of the packages at the lower ends of what pyproject.toml says."""
    wanted = ["numpy", "opencv-python-headless", "onnxruntime"]
    options = ["-q", "--disable-pip-version-check", "--no-compile", "--no-deps", "--only-binary", ":all:"]

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", *options, "--constraint", CONSTRAINTS, "--target", folder]
        if subprocess.run([*command, *wanted], capture_output=True).returncode:
            pytest.skip(f"the oldest {', '.join(wanted)} cannot be installed -- have a network, and Python up to 3.11")

    return make_once("oldest", install)


def infer(
    engine: Path, folder: Path, packages: Path | None, photos: str = "photos"
) -> subprocess.CompletedProcess[str]:
    """`yolact-infer` on the photos in the folder, with these packages before those of this environment."""
    path = os.pathsep.join([*([str(packages)] if packages else []), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "yolact.cli.infer", "--engine", engine, folder / photos]
    command += ["--json", folder / "found.json", "--output", folder / "pictures", "--score-threshold", "0"]
    return subprocess.run(
        [str(part) for part in command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


@pytest.fixture
def folder(tmp_path: Path, photos: list[np.ndarray]) -> Path:
    (tmp_path / "photos").mkdir()
    for index, suffix in enumerate(("jpg", "png")):
        cv2.imwrite(str(tmp_path / "photos" / f"{index}.{suffix}"), photos[index])
    return tmp_path


@pytest.mark.parametrize("opset", [17, 20])
def test_they_find_what_the_newest_find(
    oldest: Path, folder: Path, tiny_config: ModelConfig, export_seeded: Callable[..., Path], opset: int
) -> None:
    engine = export_seeded(tiny_config, folder / "engine.onnx", PostprocessConfig(), opset=opset)
    answers: list[list[dict[str, Any]]] = []
    for packages in (oldest, None):
        done = infer(engine, folder, packages)
        assert (done.returncode, done.stderr) == (0, "")
        answers.append(json.loads((folder / "found.json").read_text()))
        assert sorted(path.name for path in (folder / "pictures").iterdir()) == ["0.jpg", "1.png"]
        shutil.rmtree(folder / "pictures")
    for old, new in zip(*answers, strict=True):
        assert len(old["detections"]) == len(new["detections"]) > 10
        for one, other in zip(old["detections"], new["detections"], strict=True):
            assert one["class_id"] == other["class_id"]
            assert one["score"] == pytest.approx(other["score"], abs=1e-4)
            assert one["box"] == pytest.approx(other["box"], abs=1)


def test_a_file_for_newer_ones_says_so(
    oldest: Path, folder: Path, tiny_config: ModelConfig, export_seeded: Callable[..., Path]
) -> None:
    engine = export_seeded(tiny_config, folder / "engine.onnx", PostprocessConfig(), opset=21)
    done = infer(engine, folder, oldest)
    assert done.returncode == 4 and not (folder / "found.json").exists()
    assert done.stderr == (
        f"error: {engine} was exported for a newer ONNX Runtime than 1.17.0; update that with "
        "pip install -U onnxruntime, or export the file again with --opset 20, which excludes --bf16\n"
    )


def test_a_picture_for_newer_ones_says_so(oldest: Path, folder: Path, tiny_engine: Path) -> None:
    (folder / "picture").write_bytes(cv2.imencode(".gif", np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    done = infer(tiny_engine, folder, oldest, "picture")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {folder / 'picture'}: this GIF is in a format that OpenCV 4.8.0 does not read; update "
        "opencv-python-headless, or convert it to PNG\n"
    )
