"""What is wrong with a file, all of it at once: the first faults in the message, the others in a list beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from yolact.runtime.errors import DatasetError
from yolact.runtime.wording import printable

SHOWN = 10
"""Faults in a message; where there are more, the list of all is a file that the message names."""


class Fault(Exception):
    """What is wrong with one entry of a file, in words that follow the name of the entry."""


class Faults:
    """Those found so far in one file."""

    def __init__(self, source: str) -> None:
        """``source`` names the file in the message."""
        self._source = source
        self.found: list[str] = []

    @contextmanager
    def of(self, where: str) -> Iterator[None]:
        """Takes the `Fault` that the block raises, which ends there, as one of the entry called `where`."""
        try:
            yield
        except Fault as fault:
            self.found.append(f"{where} {fault}")

    def check(self) -> None:
        """Raise DatasetError where there are any."""
        raise_faults(self._source, "faults", self.found)


def raise_faults(source: str, kind: str, found: Sequence[str]) -> None:
    """Raise DatasetError where anything was found; `kind` says what these are, in the plural."""
    if not found:
        return
    if len(found) == 1:
        raise DatasetError(f"{source}: {found[0]}")
    numbered = "; ".join(f"({number}) {fault}" for number, fault in enumerate(found[:SHOWN], 1))
    rest = f"; {_write_list(found)}" if len(found) > SHOWN else ""
    raise DatasetError(f"{source} has {len(found)} {kind}: {numbered}{rest}")


def _write_list(found: Sequence[str]) -> str:
    """Write all faults to a new file among the temporary ones, a line each; says where, or why it could not be."""
    name = None
    try:
        handle, name = tempfile.mkstemp(prefix="yolact-faults-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(f"{printable(fault)}\n" for fault in found)
    except OSError as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        return f"the list of all could not be written ({error.strerror})"
    return f"all of them are listed in {name}"
