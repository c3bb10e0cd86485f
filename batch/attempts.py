"""Counts the attempts at a part, in a file that stays behind where a worker ends before its part is done.

Ray begins a part again whenever its worker ends, so an image that ends every worker would keep a job running for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from yolact.batch.part_files import write_file
from yolact.batch.places import Place
from yolact.runtime.errors import YolactError

MOST = 3
"""Most times that a part is begun."""

_FOLDER = ".begun"


class TooOften(YolactError):
    """A part whose worker ended at every attempt."""


@contextmanager
def attempt(job: Place, number: int) -> Iterator[None]:
    """Count an attempt at a part. The count is forgotten when the block ends, also by an exception.

    Raises TooOften where `MOST` attempts have not ended, OutputFailed where the file cannot be written.
    """
    file = job / _FOLDER / str(number)
    before = _count(file)
    if before >= MOST:
        raise TooOften(f"its worker ended {MOST} times; one of its images may need more memory than the machine has")
    write_file(file, b"%d" % (before + 1))
    try:
        yield
    finally:
        file.remove()


def forget_attempts(job: Place) -> None:
    """Reset all counts. Raises YolactError where the folder of a job cannot be written to."""
    folder = job / _FOLDER
    for entry in folder.entries():
        folder.at(entry.path).remove()
    folder.make_folder()


def _count(file: Place) -> int:
    try:
        return int(file.read())
    except (OSError, ValueError):  # it is not there, or was cut off
        return 0
