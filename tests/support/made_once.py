"""Files that take long to make: one of the processes that run tests makes them, all use them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

MakeOnce = Callable[[str, Callable[[Path], object]], Path]
"""(name of a folder, what fills it) -> the folder."""


def make_once(base: Path, name: str, fill: Callable[[Path], object]) -> Path:
    """The folder `name`, filled by whoever comes first.

    Args:
        base: the folder for temporary files of the whole run.
        name: of the folder.
        fill: writes into the folder. Where it raises, the next that asks tries again.
    """
    folder, done = base / "made" / name, base / "made" / f"{name}.done"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            fill(folder)
            done.touch()
    return folder
