"""Files that are either whole or not there."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yolact.runtime.errors import UsageError

_serial = itertools.count()


def temporary_beside(path: Path) -> Path:
    """A name nobody uses in the folder of `path`, with its suffix, for a file to be renamed to `path` later."""
    return path.with_name(f".partial-{os.getpid()}-{next(_serial)}{path.suffix}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. It becomes `path` if the block succeeds and is removed if not.

    Raises OSError where it cannot be renamed, UsageError where `path` is something else than a file.
    """
    check_replaceable(path)
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_replaceable(path: Path) -> None:
    """Raise UsageError where renaming a file to `path` would destroy what is no file: a device, a pipe, a folder."""
    if path.exists() and not path.resolve().is_file():
        raise UsageError(f"cannot write {path}: it exists and is no regular file; choose another name")


def check_folder(folder: Path) -> None:
    """Create `folder` with its parents and prove that files can be written in it. Raises OSError if not."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = temporary_beside(folder / "probe")
    probe.touch()
    probe.unlink()
