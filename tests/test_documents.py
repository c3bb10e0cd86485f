"""The Python in README and docs is what its readers can run."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from documents import python_examples
from repository import ROOT

import yolact
from yolact.runtime.images.drawing import palette_color

PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if python_examples(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_are_python_that_imports_the_front_door(page: Path) -> None:
    for example in python_examples(page):
        imports = [node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.ImportFrom)]
        assert {node.module for node in imports} <= {"yolact"}


def test_the_example_draws_what_it_finds(
    engine: Path, photos: list[np.ndarray], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine finds a person on the left, another at the upper right, and a dog at the lower right."""
    photo = np.clip(cv2.GaussianBlur(photos[0], (0, 0), 2), 1, 255)  # so that a JPEG keeps it
    shutil.copy(engine, here / "yolact.onnx")
    cv2.imwrite("photo.jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 100])
    (example,) = python_examples(ROOT / "docs/how-to/python.md")
    exec(example, {})
    height, width = photo.shape[:2]
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"Detections: 2 persons, 1 dog in an image {width} wide and {height} high:"
    assert [line.split()[0] for line in lines] == ["person", "person", "dog"] * 2
    drawn = cv2.imread("found.jpg").astype(np.float64)
    middle = {
        0: np.s_[height // 4 : height // 2, width // 8 : width // 3],
        2: np.s_[-height // 4 : -20, -width // 4 : -20],
    }
    for rank, part in middle.items():
        tinted = 0.55 * photo[part] + 0.45 * np.array(palette_color(rank))
        assert np.abs(drawn[part] - tinted).mean() < 5 < 20 < np.abs(drawn[part] - photo[part]).mean()


def test_the_citation_is_of_this_version_and_licence() -> None:
    """`make lint` compares the file with the schema of its format."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (yolact.__version__, "MIT")
    (holder,) = re.findall(r"Copyright \(c\) \d+ (.*)", (ROOT / "LICENSE").read_text(encoding="utf-8"))
    assert [author["name"] for author in citation["authors"]] == [holder]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [paper["url"] in readme for paper in citation["references"]] == [True, True]
    names = [[author["family-names"] for author in paper["authors"]] for paper in citation["references"]]
    assert names == [["Bolya", "Zhou", "Xiao", "Lee"]] * 2


def test_the_changelog_keeps_its_form() -> None:
    """That of Keep a Changelog: what is not released first, then versions with their dates, the newest first."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    dated = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}", version) for version in versions]
    assert first == "[Unreleased]" and all(dated)
    assert dated or f"will be version {yolact.__version__}." in text
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds
