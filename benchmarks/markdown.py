"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown. Rows may be shorter than the head; None is an empty cell."""
    lines = [_line(head), "|---" * len(head) + "|"]
    lines += [_line([*row, *[""] * (len(head) - len(row))]) for row in rows]
    return "\n".join(lines)


def _line(cells: Iterable[Any]) -> str:
    texts = ("" if cell is None else str(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def describe(machine: dict[str, str]) -> str:
    """A machine in a line: the processor, then names with their versions."""
    return ", ".join(value if key == "cpu" else f"{key} {value}" for key, value in machine.items())
