"""The cache of exported engine files: one process makes each of them once, and a file is whole or missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from yolact.runtime.cache_folder import cache_folder
from yolact.runtime.errors import YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.wording import Say

_RECORD = "contents.json"
_WAIT_SECONDS = 0.2


def engines_folder() -> Path:
    """Where exported engine files are kept. Raises YolactError for a user without a home."""
    folder = cache_folder("engines")
    if folder is None:
        raise YolactError(
            "there is no folder to keep the exported file in, as this user has no home; set YOLACT_CACHE to a folder, "
            "or export to a file of your own with yolact-export"
        )
    return folder.absolute()


def find_or_make(key: str, file_name: str, make: Callable[[Path], None], note: Say) -> tuple[Path, bool]:
    """The file of an entry, made where it is missing, and whether it was made now.

    Args:
        key: identifies the entry; equal exports have equal keys.
        file_name: name of the wanted file of the entry.
        make: writes this file, and those that belong to it, into the folder that it is given.
        note: gets a line where another process makes the file, and where an entry is damaged.

    Raises YolactError where the cache cannot be written, and the errors of `make`; then nothing is left behind.
    """
    entry = engines_folder() / key
    if is_whole(entry):
        return entry / file_name, False
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with _locked(entry.with_name(f"{key}.lock"), file_name, note):
            if is_whole(entry):  # another process has made it meanwhile
                return entry / file_name, False
            if entry.exists():
                note(f"{entry} is damaged or was changed; it is made again")
            _remove_leftovers(entry)
            _make(entry, make)
    except OSError as error:
        raise YolactError(
            f"cannot keep the exported file in {entry.parent}: {error.strerror or error}; free space, or set "
            "YOLACT_CACHE to a folder that can be written to"
        ) from error
    return entry / file_name, True


def is_whole(entry: Path) -> bool:
    """Whether the files of an entry exist and still have the contents with which they were written."""
    try:
        record = from_json((entry / _RECORD).read_bytes())
        return bool(record) and all(sha256_of(entry / Path(name).name) == digest for name, digest in record.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def list_entries() -> Iterator[tuple[Path, int]]:
    """The engine files in the cache, each with the size in bytes of its entry."""
    with contextlib.suppress(OSError, YolactError):
        for entry in sorted(engines_folder().iterdir()):
            if (entry / _RECORD).is_file():
                files = [path for path in entry.iterdir() if path.is_file()]
                size = sum(path.stat().st_size for path in files)
                yield from ((path, size) for path in files if path.suffix in (".onnx", ".plan"))


def _make(entry: Path, make: Callable[[Path], None]) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"{entry.name}.partial-", dir=entry.parent))
    try:
        make(folder)
        record = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        (folder / _RECORD).write_text(to_json(record), encoding="utf-8")
        if entry.exists():
            shutil.rmtree(entry)
        folder.rename(entry)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(entry: Path) -> None:
    """Delete the remains of killed processes in this entry, which only the holder of its lock writes."""
    for path in entry.parent.glob(f"{entry.name}.partial-*"):
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, file_name: str, note: Say) -> Iterator[None]:
    """Hold the lock of an entry, and wait where another process has it. Where locks do not work, both write it."""
    told = False
    while True:
        try:
            lock = FileLock(path, os.O_CREAT)
            break
        except FileInUse:
            if not told:
                note(f"another process exports {file_name}; waiting for it")
            told = True
            time.sleep(_WAIT_SECONDS)
        except LockUnavailable:
            yield
            return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
