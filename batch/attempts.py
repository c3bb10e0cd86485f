"""How often a part was begun, in a file that a worker leaves where it ends with its part not done.

Ray begins a part again whenever its worker ends, so an image that ends every worker would keep a job for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from yolact.batch.part_files import write_file
from yolact.batch.places import Place
from yolact.runtime.errors import YolactError

MOST = 3
"""Times that a part is begun."""

_FOLDER = ".begun"


class TooOften(YolactError):
    """A part whose worker ended each time."""


@contextmanager
def attempt(job: Place, number: int) -> Iterator[None]:
    """Count an attempt at a part, which is forgotten when the block ends, by an exception too.

    Raises TooOften where `MOST` attempts have not ended, OutputFailed where the file cannot be written.
    """
    file = job / _FOLDER / str(number)
    before = _count(file)
    if before >= MOST:
        raise TooOften(f"it ended its worker {MOST} times; an image of it may need more memory than its machine has")
    write_file(file, b"%d" % (before + 1))
    try:
        yield
    finally:
        file.remove()


def forget_attempts(job: Place) -> None:
    """Begin to count anew. Raises YolactError where the folder of a job cannot be written to."""
    folder = job / _FOLDER
    for entry in folder.entries():
        folder.at(entry.path).remove()
    folder.make_folder()


def _count(file: Place) -> int:
    try:
        return int(file.read())
    except (OSError, ValueError):  # it is not there, or was cut off
        return 0
