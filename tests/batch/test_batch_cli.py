"""`yolact-batch` as its users run it, with workers in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from batch_jobs import rows_of, write_pictures
from click.testing import CliRunner, Result

from yolact.cli.batch import main


@pytest.fixture
def words(in_process: None, engine: Path, here: Path) -> list[str]:
    """The usual command line."""
    write_pictures(here / "photos", 6)
    return ["--engine", str(engine), "--input", "photos", "--output", "out"]


def batch(*arguments: str) -> Result:
    """Run the command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_job_and_the_same_again(words: list[str]) -> None:
    Path("photos/bad.png").write_bytes(b"none")
    first = batch(*words)
    assert (first.exit_code, first.stdout) == (
        0,
        "7 images: 16 detections\n1 image without a result; the column error says why\n",
    )
    progress, last = first.stderr.splitlines()
    assert progress == "1 part to do by 1 worker" and last.startswith("7 of 7 images, ")
    again = batch(*words)
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout.startswith("7 images, 7 of them done before: 16 detections\n")


def test_options_reach_the_results(words: list[str]) -> None:
    assert batch(*words, "--masks", "none", "--score-threshold", "0.85", "--batch-size", "4").exit_code == 0
    rows = rows_of(Path("out"))
    assert len(rows) == 6 and all("mask" not in row and row["score"] in (None, pytest.approx(0.9)) for row in rows)


def test_an_image_of_too_many_pixels(words: list[str]) -> None:
    assert batch(*words, "--max-pixels", "900").exit_code == 0
    errors = [row["error"] for row in rows_of(Path("out")) if row["error"]]
    assert len(errors) == 4 and all("900" in error for error in errors)


WRONG: dict[str, tuple[dict[str, str], int, str]] = {
    "no engine": ({"--engine": "none.onnx"}, 2, "none.onnx"),
    "an engine that is none": ({"--engine": "photos/0001.png"}, 4, "photos/0001.png"),
    "no input": ({"--input": "nowhere"}, 1, "nowhere: there is no such file or folder"),
    "empty input": ({"--input": ""}, 1, "empty --input"),
    "an output that is a file": ({"--output": "photos/0001.png"}, 2, "expected the name of a folder"),
    "an output with other things": ({"--output": "photos"}, 2, "holds 0000.png, 0001.png, 0002.png and 3 more"),
    "an output that cannot be": ({"--output": "photos/0001.png/out"}, 1, "Not a directory; choose another --output"),
    "a threshold": ({"--score-threshold": "1.5"}, 2, "expected a number from 0 to 1"),
    "no worker": ({"--workers": "0"}, 2, "--workers"),
    "masks": ({"--masks": "bits"}, 2, "bits"),
    "a GPU by number": ({"--device": "cuda:1"}, 2, "Ray chooses the GPU of each worker; give --device cuda"),
    "a device that is not here": ({"--device": "openvino:XPU"}, 2, "has no device XPU here, only"),
    "another kind's metadata": ({"--metadata": "photos/0001.png"}, 2, "leave out --metadata"),
    "a column of images": ({"--column": "x"}, 2, "--column is for Parquet files"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(words: list[str], name: str) -> None:
    change, code, sentence = WRONG[name]
    given = dict(zip(words[::2], words[1::2], strict=True)) | change
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = batch(*(word for pair in given.items() for word in pair))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.stderr.startswith("error: ") and sentence in result.stderr and result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("package", ["ray", "pyarrow", "pandas"])
def test_without_a_package(words: list[str], package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = batch(*words)
    assert result.exit_code == 1 and not Path("out").exists()
    assert result.stderr.startswith(f"error: yolact-batch needs {package}; install it with: pip install -e '.[ray]'")


def test_a_part_that_failed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("the server is silent")

    monkeypatch.setattr("yolact.batch.worker.detect_part", fail)
    result = batch(*words)
    assert (result.exit_code, result.stdout) == (1, "0 images: 0 detections\n")
    assert result.stderr.splitlines()[1].endswith("photos/0000.png on: the server is silent")
