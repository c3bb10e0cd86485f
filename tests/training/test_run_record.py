"""`run.json`: what a run knows of itself, and what is refused in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yolact.runtime.errors import CheckpointError
from yolact.training.run_record import RECORD_FILE, RunRecord, Validation

RECORD = RunRecord(
    ("--config", "yolact_demo", "--data", "scenes:11"),
    "/home/somebody",
    (("data", "scenes:11"),),
    12.5,
    (Validation(3, 0.1, 0.2), Validation(6, 0.3, 0.4), Validation(9, None, None), Validation(12, 0.5, 0.4)),
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_bytes(RECORD.as_bytes())
    assert RunRecord.read(tmp_path) == RECORD


def test_the_best_is_the_first_of_the_highest() -> None:
    assert RECORD.best == Validation(6, 0.3, 0.4) and RECORD.without_progress == 2
    assert RECORD.until(6).without_progress == 0 and RECORD.until(3).best == Validation(3, 0.1, 0.2)
    assert RECORD.until(2).best is None
    nothing = RunRecord((), "", validations=(Validation(3, None, None), Validation(6, None, None)))
    assert nothing.best is None and nothing.without_progress == 2


def test_a_validation_takes_the_place_of_one_that_was_cut_off() -> None:
    again = RECORD.with_validation(Validation(9, 0.9, 0.9))
    assert [one.iteration for one in again.validations] == [3, 6, 9] and again.best == Validation(9, 0.9, 0.9)


def test_paths_are_looked_for_here_and_where_the_run_was_started(here: Path) -> None:
    there = here / "there"
    there.mkdir()
    record = RunRecord((), str(there))
    (there / "a.json").touch()
    assert record.resolve(Path("a.json")) == there / "a.json"
    (here / "a.json").touch()
    assert record.resolve(Path("a.json")) == Path("a.json")
    assert record.resolve(Path("missing.json")) == Path("missing.json")


def put(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: {**fields, **values}


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a list": (lambda fields: [fields], "must be an object"),
    "a part too few": (lambda fields: {k: v for k, v in fields.items() if k != "seconds"}, "has no 'seconds'"),
    "a part too many": (put(colour=1), "'colour', which is none"),
    "another version": (put(version=2), "it has version 2, expected 1"),
    "arguments that are no list": (put(arguments="--config"), "arguments must be a list"),
    "an argument that is no text": (put(arguments=[1]), r"arguments\[0\] must be a text"),
    "a directory that is none": (put(directory=None), "directory must be a text"),
    "a fact without a title": (put(facts=[["x"]]), r"facts\[0\] must be a list of 2"),
    "negative time": (put(seconds=-1), "seconds must be a number from 0 on"),
    "a truth value for time": (put(seconds=True), "seconds must be a number"),
    "AP in percent": (put(validations=[[3, 40.0, 50.0]]), r"must lie in \[0, 1\]"),
    "AP that is text": (put(validations=[[3, "0.1", None]]), r"must lie in \[0, 1\]"),
    "no iteration": (put(validations=[[0, 0.1, 0.1]]), "must be a positive whole number"),
    "two numbers": (put(validations=[[3, 0.1]]), "must be a list of iteration, box AP and mask AP"),
    "out of order": (put(validations=[[6, 0.1, 0.1], [3, 0.1, 0.1]]), "not in the order"),
    "twice": (put(validations=[[3, 0.1, 0.1], [3, 0.1, 0.1]]), "not in the order"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_values_that_no_run_writes(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    content = change(json.loads(RECORD.as_bytes()))
    (tmp_path / RECORD_FILE).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"{RECORD_FILE} is damaged .*{message}"):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\0", RECORD.as_bytes()[:-3], b'{"seconds": NaN}', b"[" * 9999]
)
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD_FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        RunRecord.read(tmp_path)


def test_none_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no .*run\.json"):
        RunRecord.read(tmp_path)
    (tmp_path / RECORD_FILE).mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        RunRecord.read(tmp_path)
