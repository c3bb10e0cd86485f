"""Entries of an annotation file's lists: their ids, and their names in messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from yolact.training.data.coco.faults import Fault
from yolact.training.data.coco.json_values import read_whole, shown


def named(entries: Sequence[Any], part: str, kind: str) -> Iterator[tuple[Any, str]]:
    """Each entry with its name in messages: by its id, else by its place in the list. Those that are null are none."""
    for number, entry in enumerate(entries, 1):
        if entry is not None:
            id = id_of(entry)
            yield entry, f"entry {number} of {part}" if id is None else f"{kind} {id}"


def id_of(entry: Any, name: str = "id") -> int | None:
    """The entry's id, or one that it refers to; None where it has none."""
    return read_whole(entry.get(name)) if isinstance(entry, dict) else None


def read_id(entry: Any, unread: set[str]) -> int:
    """The entry's id. Raises Fault if it has none, or the entry is no object; `unread` gets the value in its place."""
    if not isinstance(entry, dict):
        raise Fault(f"is {shown(entry)}; expected an object")
    if (id := id_of(entry)) is None:
        unread.add(shown(entry.get("id")))
        raise Fault(f"has {shown(entry.get('id'))} as id; expected a whole number")
    return id
