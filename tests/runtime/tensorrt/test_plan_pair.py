"""A plan and its sidecar belong together, wherever the process that writes them is killed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plan_files import IDENTITY, METADATA

from yolact.runtime import partial_file
from yolact.runtime.errors import YolactError
from yolact.runtime.tensorrt.plan_file import read_sidecar, sidecar_of
from yolact.runtime.tensorrt.plan_pair import find_sidecar, waiting_sidecar_of, write_pair

OLD, NEW = b"of the old plan " * 60, b"of the new plan " * 60
NAMES = ["a.plan", "a.plan.json"]


def write(plan: Path, data: bytes) -> None:
    identity = replace(IDENTITY, size=len(data), plan_sha256=hashlib.sha256(data).hexdigest())
    write_pair(plan, data, identity.to_sidecar(METADATA).encode())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed_at(step: int, plan: Path, data: bytes) -> bool:
    """Write in a process that ends, without cleaning up, before its `step`-th rename; False where it makes fewer."""
    child = os.fork()
    if child == 0:
        original, left = Path.replace, [step]

        def rename(self: Path, target: Any) -> Path:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return original(self, target)

        Path.replace = rename  # type: ignore[method-assign]
        try:
            write(plan, data)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("step", range(3))
def test_a_killed_build_leaves_a_pair(
    tmp_path: Path, step: int, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_file, "_swept", set())
    plan = tmp_path / "a.plan"
    if not is_first:
        write(plan, OLD)
    assert killed_at(step, plan, NEW)
    if plan.exists():
        sidecar = find_sidecar(plan)
        assert sidecar is not None
        assert read_sidecar(sidecar)[0].plan_sha256 == hashlib.sha256(plan.read_bytes()).hexdigest()
    assert plan.exists() == (not is_first or step == 2)
    partial_file._swept.clear()  # as in the next process
    write(plan, NEW + NEW)
    assert names(tmp_path) == NAMES and find_sidecar(plan) == sidecar_of(plan)


def test_three_renames_are_all(tmp_path: Path) -> None:
    assert not killed_at(3, tmp_path / "a.plan", NEW)
    assert names(tmp_path) == NAMES


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000])
def test_a_waiting_sidecar_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    plan = tmp_path / "a.plan"
    write(plan, OLD)
    waiting_sidecar_of(plan).write_text(text)
    assert find_sidecar(plan) == sidecar_of(plan)
    sidecar_of(plan).unlink()
    assert find_sidecar(plan) is None


def test_what_cannot_be_written_leaves_the_old_pair(tmp_path: Path) -> None:
    plan = tmp_path / "a.plan"
    write(plan, OLD)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    waiting_sidecar_of(plan).mkdir()
    with pytest.raises(YolactError, match="is no regular file"):
        write(plan, NEW)
    waiting_sidecar_of(plan).rmdir()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    sidecar_of(plan).unlink()
    sidecar_of(plan).mkdir()
    with pytest.raises(YolactError, match=r"a\.plan\.json: Is a directory; .*a\.plan\.json\.next belongs to "):
        write(plan, NEW)
    assert json.loads(waiting_sidecar_of(plan).read_text())["plan"]["size"] == len(NEW)
    assert find_sidecar(plan) == waiting_sidecar_of(plan)
