"""Files written beside their targets: several writers, killed writers, and file systems without locks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from yolact.runtime import file_lock
from yolact.runtime.file_lock import FileInUse, FileLock
from yolact.runtime.output_files import check_output, replacing, write_output
from yolact.runtime.partial_file import PartialFile
from yolact.runtime.results import JsonResults

AN_HOUR, TWO_DAYS = 3600, 2 * 24 * 3600


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def next_run(folder: Path) -> None:
    """What every command does before it works."""
    check_output("--json", folder / "next.json", [])


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def start_writer(folder: Path) -> subprocess.Popen[bytes]:
    """A process that is in the middle of writing `a.json`."""
    program = """
import os, sys, time
from pathlib import Path
from yolact.runtime.output_files import replacing
with replacing(Path(sys.argv[1]) / "a.json") as partial:
    partial.write_text("half")
    print(flush=True)
    time.sleep(100)
"""
    process = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"\n"
    return process


def test_processes_of_one_number_do_not_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers, which may all run process 1."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with ExitStack() as stack:
        assert len({stack.enter_context(PartialFile(tmp_path / "a.json")).path for _ in range(50)}) == 50

    def write(number: int) -> None:
        with JsonResults(tmp_path / f"{number}.json") as results:
            for row in range(200):
                results.add({"writer": number, "row": row})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    for number in range(8):
        rows = json.loads((tmp_path / f"{number}.json").read_text())
        assert rows == [{"writer": number, "row": row} for row in range(200)]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    writer = start_writer(tmp_path)
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".partial-") and partial.suffix == ".json"
    age(partial, TWO_DAYS)
    next_run(tmp_path)
    assert names(tmp_path) == [partial.name], "its writer lives, however long ago it wrote"
    writer.kill()
    writer.communicate()
    next_run(tmp_path)
    assert names(tmp_path) == []


def test_a_first_file_in_a_folder_clears_it_too(tmp_path: Path) -> None:
    """Where no command has looked at the folder before, such as that of timing caches."""
    (tmp_path / ".partial-0123456789abcdef.timing").touch()
    write_output(tmp_path / "a.timing", b"whole")
    assert names(tmp_path) == ["a.timing"]


def test_only_partial_files_are_removed(tmp_path: Path) -> None:
    others = {".partial-", ".partial-notes.txt", ".partial-0123456789abcdef.a.b", "x.partial-1-1.pth", ".partial-1"}
    for name in (*others, ".partial-17-3.pth", ".partial-00000000000000ff"):
        (tmp_path / name).touch()
    (tmp_path / ".partial-1-2.mp4").mkdir()
    next_run(tmp_path)
    assert set(names(tmp_path)) == others | {".partial-1-2.mp4"}


def test_a_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock", os.O_CREAT)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b".")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(FileInUse):
        FileLock(tmp_path / "lock")
    lock.release()
    FileLock(tmp_path / "lock").release()
    os.write(done[1], b".")
    os.waitpid(child, 0)


@pytest.fixture(params=["file system", "Windows"])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if request.param == "Windows":
        monkeypatch.setattr(file_lock, "fcntl", None)
    else:
        monkeypatch.setattr(file_lock.fcntl, "flock", refuse)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_age_decides(tmp_path: Path) -> None:
    young, old = tmp_path / ".partial-0123456789abcdef", tmp_path / ".partial-0123456789abcdee.pth"
    for path, seconds in ((young, AN_HOUR), (old, TWO_DAYS)):
        path.touch()
        age(path, seconds)
    with replacing(tmp_path / "a.json") as partial:
        partial.write_text("whole")
        next_run(tmp_path)
    assert names(tmp_path) == [young.name, "a.json"]


Interrupt = Callable[[PartialFile], None]
RACES: dict[str, Interrupt] = {
    "renamed": lambda partial: partial.commit(),
    "removed": lambda partial: partial.path.unlink(),
    "replaced": lambda partial: (partial.path.unlink(), partial.path.touch())[0],
}


@pytest.mark.parametrize("name", RACES)
def test_a_lock_on_a_file_that_is_gone_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Between opening a leftover and locking it, its writer may have finished."""
    partial = PartialFile(tmp_path / "a.json")
    original, done = file_lock.fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        if not done:
            done.append(1)
            RACES[name](partial)
            assert partial._lock is not None
            partial._lock.release()
        original(descriptor, operation)

    monkeypatch.setattr(file_lock.fcntl, "flock", flock)
    before = {"renamed": ["a.json"], "removed": [], "replaced": [partial.path.name]}[name]
    with pytest.raises(FileInUse):
        FileLock(partial.path)
    assert names(tmp_path) == before
