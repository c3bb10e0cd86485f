"""All faults of a file at once: the first ones in the message, the others in a list beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.errors import DatasetError
from yolact.runtime.wording import count_noun, printable

SHOWN = 10
"""Faults in a message; where there are more, the list of all is a file that the message names."""


class Fault(Exception):
    """The fault of one entry of a file, in words that follow the name of the entry and begin with its verb."""


class Misfit(Fault):
    """An annotation that does not fit the size of its image: of several on one image only the first is told."""


class _Found(NamedTuple):
    """A fault of one entry. Those of one `group` are told together. `annotations`: how many lie on a faulty image."""

    group: tuple[str, int | str]
    where: str
    words: str
    annotations: int

    def __str__(self) -> str:
        return f"{self.where} {self.words}{_on_it(self.annotations, 1)}"


class Faults:
    """The faults found so far in one file."""

    def __init__(self, source: str) -> None:
        """``source`` names the file in the message."""
        self._source = source
        self._found: list[_Found] = []

    def add(self, words: str) -> None:
        """A fault of the file itself, in a whole sentence."""
        self._found.append(_Found(("", words), "it", words, 0))

    @contextmanager
    def of(self, where: str, kind: str, image: int = 0, annotations: int = 0) -> Iterator[None]:
        """Takes the `Fault` that the block raises, which ends there, as one of the entry called `where`.

        Args:
            where: name of the entry.
            kind: the name of such entries, in the plural.
            image: the id of the image that the entry is on, if it is an annotation.
            annotations: how many of them the entry has, if it is an image.
        """
        try:
            yield
        except Misfit as fault:
            self._found.append(_Found((_on(image), image), where, str(fault), 0))
        except Fault as fault:
            self._found.append(_Found((kind, str(fault)), where, str(fault), annotations))

    def forgive_misfits(self, image: int) -> None:
        """Forget the annotations that do not fit the size of an image, as that size is wrong itself."""
        self._found = [one for one in self._found if one.group != (_on(image), image)]

    def check(self) -> None:
        """Raise DatasetError where there are any."""
        groups: dict[tuple[str, int | str], list[_Found]] = {}
        for one in self._found:
            groups.setdefault(one.group, []).append(one)
        raise_faults(self._source, "faults", [*map(str, self._found)], [*map(_told_together, groups.values())])


def _on(image: int) -> str:
    return f"annotations on image {image}"


def _told_together(group: Sequence[_Found]) -> str:
    """One sentence for all faults of a group."""
    first = group[0]
    if len(group) == 1:
        return str(first)
    kind, key = first.group
    if key != first.words:
        return f"{len(group)} {kind} do not fit its size: the first is {first.where}, which {first.words}"
    verb, _, rest = first.words.partition(" ")
    words = f"{ {'has': 'have', 'is': 'are'}.get(verb, verb) } {rest}"
    comma = ";" if ";" in words else ","
    return f"{len(group)} {kind} {words}{comma} the first is {first.where}" + _on_it(
        sum(one.annotations for one in group), len(group)
    )


def _on_it(annotations: int, images: int) -> str:
    if not annotations:
        return ""
    return (
        f"; {count_noun(annotations, 'annotation')} {'is' if annotations == 1 else 'are'} on "
        f"{'it' if images == 1 else 'them'}"
    )


def raise_faults(source: str, kind: str, found: Sequence[str], told: Sequence[str] | None = None) -> None:
    """Raise DatasetError where anything was found.

    Args:
        source: names the file.
        kind: the name of these faults, in the plural.
        found: one sentence each.
        told: sentences for the message if several of `found` are told together.
    """
    if not found:
        return
    told = found if told is None else told
    remark = _write_list(found) if len(found) > SHOWN else ""
    if len(told) == 1:
        raise DatasetError("; ".join(filter(None, (f"{source}: {told[0]}", remark))))
    raise DatasetError(f"{source} has {len(found)} {kind}", tuple(told[:SHOWN]), remark)


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
