"""Every command that a page shows is run, here or by the test that the page names, or the page says what it needs."""

from __future__ import annotations

import ast
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numbered_films import write_film
from page_commands import NEEDS, Block, blocks
from repository import ROOT

from yolact.cli.main import COMMANDS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {page: found for page in PAGES if (found := blocks(page, ROOT))}
TO_RUN = {page: [one for one in found if not one.remark] for page, found in BLOCKS.items()}


@pytest.fixture
def files(here: Path, tiny_engine: Path, photos: list[np.ndarray]) -> Path:
    """The working directory with the files that pages take for granted."""
    for name in ("yolact.onnx", "fp32.onnx", "int8.onnx"):
        shutil.copy(tiny_engine, name)
    Path("photos").mkdir()
    small = [cv2.resize(photo, None, fx=0.25, fy=0.25) for photo in photos[:2]]
    for path, photo in zip(("photo.jpg", "photos/1.jpg", "photos/2.jpg"), [small[0], *small], strict=True):
        cv2.imwrite(path, photo)
    write_film(Path("film.mp4"), [0, 0.1, 0.2])
    Path("examples").symlink_to(ROOT / "examples")
    return here


@pytest.mark.parametrize("page", [page for page, found in TO_RUN.items() if found], ids=lambda page: page.stem)
def test_blocks_of_a_page_run_one_after_the_other(page: Path, files: Path) -> None:
    for block in TO_RUN[page]:
        assert block.commands, f"{block.place}: the block has no line that begins with $"
        for words in block.commands:
            program, *arguments = words
            if program == "yolact":
                program, *arguments = f"yolact-{arguments[0]}", *arguments[1:]
            name = program.removeprefix("yolact-")
            assert program != name and name in COMMANDS, f"{block.place}: say above the block what {program} needs"
            command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
            result = CliRunner().invoke(command, arguments)
            assert result.exit_code == 0, f"{block.place}: {' '.join(words)}\n{result.output}"


@pytest.mark.parametrize(
    "block", [one for found in BLOCKS.values() for one in found if one.remark], ids=lambda b: b.place
)
def test_what_is_said_above_a_block_holds(block: Block) -> None:
    kind, _, what = block.remark.partition(": ")
    check: dict[str, Callable[[str], bool]] = {
        "needs": lambda what: what in NEEDS,
        "form": lambda _: any(set(" ".join(words)) & set("[|") for words in block.commands),
        "run by": has_test,
    }
    assert kind in check and check[kind](what), f"{block.place}: {block.remark}"


def has_test(name: str) -> bool:
    """Whether there is a test `tests/FILE.py::name`."""
    file, _, function = name.partition("::")
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() and file.startswith("tests/") else ast.Module()
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in getattr(tree, "body", []))


def test_most_pages_have_something_to_run() -> None:
    assert sum(len(found) for found in BLOCKS.values()) > 25
    assert sum(map(bool, TO_RUN.values())) >= 4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_is_indented(page: Path) -> None:
    """Those in a list would be overlooked."""
    assert page.read_text(encoding="utf-8").count("```console") == len(BLOCKS.get(page, []))


def test_a_test_that_is_named_must_exist() -> None:
    assert has_test("tests/test_page_commands.py::test_a_test_that_is_named_must_exist")
    for name in ("tests/test_page_commands.py::test_x", "tests/x.py::test_y", "cli/main.py::main", "nonsense"):
        assert not has_test(name)
