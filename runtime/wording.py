"""Sentences for the user: their receivers, and pieces that they have in common."""

from __future__ import annotations

import unicodedata
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


def list_all(names: Sequence[str]) -> str:
    """``head``, ``fpn and head``, ``backbone, fpn and head``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def one_line(error: object) -> str:
    """The text of another library's error without its line breaks and indents, to be quoted inside a sentence."""
    return " ".join(str(error).split())


_JOINERS = "\u200c\u200d"
"""Invisible characters that shape letters and emoji, so that their effect is seen."""


def printable(text: str, encoding: str = "utf-8") -> str:
    """Text as one line that any terminal can show and none obeys.

    Names of files and classes, and texts of servers and model files, may hold anything. Line breaks, control characters
    (which begin a terminal's commands), invisible ones and those that reorder text (Unicode's Cf, but for joiners),
    halves of surrogate pairs, and those that the encoding lacks become escapes such as ``\\x1b`` and ``\\u6f22``.
    """
    shown = "".join(_escape(character) if _is_command(character) else character for character in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _is_command(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
