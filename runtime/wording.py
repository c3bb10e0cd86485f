"""Sentences for the user: who takes them, and pieces that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Say = Callable[[str], None]
"""Takes one line for the user. The commands give libraries one, as these never print."""


def count_noun(count: int, noun: str) -> str:
    """``1 dog``, ``2 dogs``, ``2 buses``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def list_some(names: Sequence[str], limit: int) -> str:
    """The first `limit` names and the number of those left out: ``disc, ring and 4 more``."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def one_line(error: object) -> str:
    """The text of another library's error without its line breaks and indents, to be quoted inside a sentence."""
    return " ".join(str(error).split())
