"""The cache of exported engines: made once, whole or not there, whoever else is at it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from yolact.hub.engine_cache import find_or_make, is_whole, list_entries
from yolact.runtime.errors import YolactError
from yolact.runtime.file_lock import FileLock


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLACT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


class Maker:
    def __init__(self, data: bytes = b"engine") -> None:
        self.data, self.calls = data, 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "net.onnx").write_bytes(self.data)
        (folder / "net.onnx.json").write_text("{}")


def test_made_once(cache: Path) -> None:
    make, notes = Maker(), list[str]()
    first = find_or_make("key", "net.onnx", make, notes.append)
    assert first == (cache / "key" / "net.onnx", True) and first[0].read_bytes() == b"engine"
    assert find_or_make("key", "net.onnx", make, notes.append) == (first[0], False)
    assert find_or_make("other", "net.onnx", make, notes.append)[0] != first[0]
    assert make.calls == 2 and not notes
    assert sorted(path.name for path in cache.iterdir()) == ["key", "other"]
    assert [(path.parent.name, size > 100) for path, size in list_entries()] == [("key", True), ("other", True)]


DAMAGES = {
    "changed": lambda entry: (entry / "net.onnx").write_bytes(b"ENGINE"),
    "cut": lambda entry: (entry / "net.onnx").write_bytes(b"eng"),
    "gone": lambda entry: (entry / "net.onnx").unlink(),
    "sidecar": lambda entry: (entry / "net.onnx.json").write_text("{} "),
    "record gone": lambda entry: (entry / "contents.json").unlink(),
    "record odd": lambda entry: (entry / "contents.json").write_text("[1]"),
    "record empty": lambda entry: (entry / "contents.json").write_text("{}"),
    "record no text": lambda entry: (entry / "contents.json").write_bytes(b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(damage: str) -> None:
    make, notes = Maker(), list[str]()
    path, _ = find_or_make("key", "net.onnx", make, notes.append)
    DAMAGES[damage](path.parent)
    assert find_or_make("key", "net.onnx", make, notes.append) == (path, True)
    assert path.read_bytes() == b"engine" and is_whole(path.parent) and make.calls == 2
    assert notes == [f"{path.parent} is damaged or was changed; it is made again"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, YolactError, OSError])
def test_nothing_is_left_of_what_fails(error: type[BaseException], cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "net.onnx").write_bytes(b"half")
        raise error("stopped")

    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else YolactError):
        find_or_make("key", "net.onnx", fail, print)
    assert list(cache.iterdir()) == []


def test_what_a_killed_process_left_goes(cache: Path) -> None:
    (cache / "key.partial-abc").mkdir(parents=True)
    (cache / "key.lock").touch()
    find_or_make("key", "net.onnx", Maker(), print)
    assert [path.name for path in cache.iterdir()] == ["key"]


def test_two_at_once(cache: Path) -> None:
    """The second waits for the first, tells so, and takes what that has made."""
    begun, go_on, first_notes, second_notes = threading.Event(), threading.Event(), list[str](), list[str]()
    waiting = threading.Event()

    def slow(folder: Path) -> None:
        begun.set()
        assert go_on.wait(10)
        Maker()(folder)

    def tell(line: str) -> None:
        second_notes.append(line)
        waiting.set()

    made: list[tuple[Path, bool]] = []
    first = threading.Thread(target=lambda: made.append(find_or_make("key", "net.onnx", slow, first_notes.append)))
    second_maker = Maker(b"second")
    second = threading.Thread(target=lambda: made.append(find_or_make("key", "net.onnx", second_maker, tell)))
    first.start()
    assert begun.wait(10)
    second.start()
    assert waiting.wait(10)
    go_on.set()
    first.join()
    second.join()
    assert [new for _, new in made] == [True, False] and second_maker.calls == 0 and not first_notes
    assert second_notes == ["another process exports net.onnx; waiting for it"]
    assert [path.name for path in cache.iterdir()] == ["key"]


def test_without_locks_both_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolact.runtime.file_lock.fcntl", None)
    path, new = find_or_make("key", "net.onnx", Maker(), print)
    assert new and path.read_bytes() == b"engine"


def test_a_cache_that_cannot_be_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLACT_CACHE", "/dev/null")
    with pytest.raises(YolactError, match=r"cannot keep the exported file in /dev/null/engines: .*; free space, or"):
        find_or_make("key", "net.onnx", Maker(), print)
    monkeypatch.delenv("YOLACT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(YolactError, match="this user has no home; set YOLACT_CACHE"):
        find_or_make("key", "net.onnx", Maker(), print)
    assert list(list_entries()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere -- run the tests as another user")
def test_a_whole_entry_is_read_from_a_cache_that_may_only_be_read(cache: Path) -> None:
    path, _ = find_or_make("key", "net.onnx", Maker(), print)
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert find_or_make("key", "net.onnx", Maker(), print) == (path, False)
    finally:
        cache.chmod(stat.S_IRWXU)


def test_the_lock_is_of_the_entry(cache: Path) -> None:
    cache.mkdir(parents=True)
    lock = FileLock(cache / "other.lock", os.O_CREAT)
    find_or_make("key", "net.onnx", Maker(), pytest.fail)
    lock.release()
