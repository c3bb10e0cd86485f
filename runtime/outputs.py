"""Names for annotated pictures and videos that cost nobody a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class OutputNames:
    """Gives every input a file of its own in one folder.

    The input's stem is kept. It is numbered (``x-2.jpg``) where another input of this run has that name already or
    where the name is an input's itself; in a folder that inputs come from, no existing file is replaced at all.
    Elsewhere the files of an earlier run are.
    """

    def __init__(self, folder: Path, inputs: Iterable[Path]) -> None:
        """`inputs`: all files this run reads."""
        self._folder = folder
        resolved = [path.resolve() for path in inputs]
        self._taken = {_key(path) for path in resolved}
        self._is_shared = folder.resolve() in {path.parent for path in resolved}

    def reserve(self, stem: str, suffix: str) -> Path:
        """A file in the folder, never given twice."""
        number = 1
        while True:
            path = self._folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            key = _key(path.resolve())
            if key not in self._taken and not (self._is_shared and path.exists()):
                self._taken.add(key)
                return path
            number += 1


def _key(path: Path) -> str:
    """Some file systems take ``A.jpg`` and ``a.jpg`` for one file."""
    return str(path).casefold()
