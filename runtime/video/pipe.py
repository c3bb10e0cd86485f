"""The standard input, or a named pipe, as a video."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from yolact.runtime.errors import ImageError

_PATIENCE = 0.1  # seconds between checks whether the bytes are still wanted


class Pipe:
    """Bytes as they come, which cannot be read twice."""

    failure: ImageError | None = None

    def __init__(self, path: Path | None) -> None:
        """None stands for the standard input, which stays open. Raises OSError where a pipe cannot be opened."""
        self._is_own = path is not None
        # Opening a pipe would wait for a writer, deaf to Ctrl-C.
        self._descriptor = 0 if path is None else os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        self._is_left = False

    def read(self, size: int) -> bytes:
        """Up to so many bytes, none at the end."""
        if sys.platform == "win32":  # it can wait for sockets alone
            return os.read(self._descriptor, size)
        while not self._is_left:
            if select.select([self._descriptor], [], [], _PATIENCE)[0]:
                try:
                    return os.read(self._descriptor, size)
                except BlockingIOError:
                    continue
        return b""

    def interrupt(self) -> None:
        """Let a `read` in another thread return."""
        self._is_left = True

    def close(self) -> None:
        if self._is_own:
            self._is_own = False
            os.close(self._descriptor)
