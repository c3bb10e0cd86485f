"""Files that are written beside their targets, and the removal of those that killed runs left behind."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from pathlib import Path
from types import TracebackType

from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable

_NAME = re.compile(r"\.partial-([0-9a-f]{16}|\d+-\d+)(\.\w+)?")
"""Names of partial files; the second form is that of earlier versions."""

_ABANDONED_SECONDS = 24 * 3600.0  # unchanged for so long, where no lock can tell whether its writer lives

_swept: set[Path] = set()


class PartialFile:
    """A new file in the folder of its target. It takes the target's name, or is removed.

    Its name is random, so that no other process can have it, on this machine or another. It is locked while it is
    written; where the process is killed, the lock is gone and the next process that writes into the folder removes the
    file. Without locks it does so a day later.

    Attributes:
        path: to write to, with the suffix of the target.
    """

    def __init__(self, target: Path) -> None:
        """Create the file, empty. Raises OSError where that fails."""
        self._target = target
        _sweep_once(target.parent)
        self._lock: FileLock | None = None
        while True:
            self.path = target.with_name(f".partial-{secrets.token_hex(8)}{target.suffix}")
            try:
                self._lock = FileLock(self.path, os.O_CREAT | os.O_EXCL)
            except LockUnavailable:
                return
            except (FileExistsError, FileInUse):  # its name was taken, or it was swept away before it was locked
                continue
            return

    def commit(self) -> None:
        """Give it the target's name, in the place of a file of that name. Raises OSError where that fails."""
        self.path.replace(self._target)

    def close(self) -> None:
        """Remove it unless it was committed."""
        self.path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def remove_leftovers(folder: Path) -> None:
    """Delete the partial files in a folder that no process writes any more."""
    with contextlib.suppress(OSError):  # what cannot be listed cannot be tidied
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(path)


def _sweep_once(folder: Path) -> None:
    """Tidy a folder once a process: listing it for every picture of thousands would take long."""
    resolved = Path(os.path.realpath(folder))
    if resolved not in _swept:
        _swept.add(resolved)
        remove_leftovers(folder)


def _remove_if_abandoned(path: Path) -> None:
    try:
        lock = FileLock(path)
    except FileInUse:
        return
    except LockUnavailable:
        if time.time() - path.stat(follow_symlinks=False).st_mtime > _ABANDONED_SECONDS:
            path.unlink(missing_ok=True)
        return
    try:
        path.unlink(missing_ok=True)
    finally:
        lock.release()
