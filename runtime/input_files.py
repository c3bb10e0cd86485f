"""Files that are read whole."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MAX_PIPE_BYTES = 1 << 30
"""Most bytes read from a pipe, which may never end."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def no_file(path: Path, wanted: str) -> str:
    """The beginning of a sentence about a path that is no regular file: it names the thing that is there instead."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return f"there is no {wanted} {path}"
    kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no file")
    return f"{path} is {kind}, expected a regular {wanted}"


def read_file(path: Path) -> bytes:
    """The contents of a file or a pipe. Raises OSError, also for a device or a pipe that does not end."""
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(errno.ENODEV, "it is a device, not a file", str(path))
        if stat.S_ISREG(mode):
            return file.read()
        data = file.read(MAX_PIPE_BYTES + 1)
        if len(data) > MAX_PIPE_BYTES:
            raise OSError(errno.EFBIG, f"more than {MAX_PIPE_BYTES >> 20} MiB come from this pipe", str(path))
        return data
