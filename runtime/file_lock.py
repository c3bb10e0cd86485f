"""Locks on files, by which processes see that another one still works: they end with the process, however it ends."""

from __future__ import annotations

import errno
import os
import weakref
from pathlib import Path
from typing import ClassVar

try:
    import fcntl
except ImportError:  # Windows, where no lock is taken
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_MODE = 0o666  # less what the user's umask takes away


class FileInUse(Exception):
    """Another process, or another part of this one, holds the lock."""


class LockUnavailable(Exception):
    """There are no locks here: on Windows, and on some file systems."""


class FileLock:
    """An exclusive lock (flock) on a file, held until `release` or the end of the process.

    A process id would not identify the owner: containers that share a folder may all run process 1. Processes that were
    forked do not keep the lock.

    Attributes:
        path: of the file.
    """

    _held: ClassVar[weakref.WeakSet[FileLock]] = weakref.WeakSet()

    def __init__(self, path: Path, flags: int = 0) -> None:
        """Open a file with these flags of `os.open` and lock it.

        Raises:
            FileInUse: somebody else holds the lock, or has moved or removed the file in the meantime.
            LockUnavailable: the file is there, and cannot be locked.
            OSError: it cannot be opened.
        """
        self.path = path
        self._descriptor: int | None = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | flags, _MODE)
        try:
            self._lock(self._descriptor)
        except BaseException:
            self.release()
            raise
        FileLock._held.add(self)

    def _lock(self, descriptor: int) -> None:
        if fcntl is None:
            raise LockUnavailable
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileInUse from None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise LockUnavailable from None
            raise
        if not self.is_in_place():
            raise FileInUse

    def is_in_place(self) -> bool:
        """Whether the path still names the file that is locked."""
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock. Calling it again does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @classmethod
    def forget_all(cls) -> None:
        """Close what a forked process has inherited: it would hold the locks after its parent was killed."""
        for lock in list(cls._held):
            lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FileLock.forget_all)
