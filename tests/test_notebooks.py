"""The notebooks in examples/ run from the first cell to the last in a copy of that folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from repository import BINS, DEMO_CHECKPOINT, ROOT

RUNNER = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[3])
"""
"""A program of its own, as the sockets and threads that talk to a kernel stay in their process."""

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SHOWN = {"first_masks": ["jpeg", "jpeg", "png", "video"], "train_your_own": ["png", "png"]}
"""Pictures and videos that each displays, in its order."""

PRINTED = {
    "first_masks": ["heads in fp32", "spring", "the largest is a", "75 frames"],
    "train_your_own": ["Counter({", "next: yolact-export", "mask AP"],
}


def kinds_and_words(notebook: Any) -> tuple[list[str], str]:
    """The types of what was displayed, and everything that was printed."""
    outputs = [one for cell in notebook.cells if cell.cell_type == "code" for one in cell.outputs]
    shown = [one.data for one in outputs if "data" in one]
    kinds = [
        "video" if "<video" in data.get("text/html", "") else next(k[6:] for k in data if k[:6] == "image/")
        for data in shown
    ]
    return kinds, "".join(one.text for one in outputs if one.output_type == "stream")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (DEMO_CHECKPOINT, BINS):
        (tmp_path / source.name).symlink_to(source)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    command = [sys.executable, "-c", RUNNER, str(path), str(tmp_path), "executed.ipynb"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    notebook: Any = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
    kinds, words = kinds_and_words(notebook)
    assert kinds == SHOWN[path.stem]
    assert "Traceback" not in words
    for word in PRINTED[path.stem]:
        assert word in words, words


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
