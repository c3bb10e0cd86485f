"""Names of classes as people see them: names that differ in invisible characters only are equal."""

from __future__ import annotations

import unicodedata

_INVISIBLE = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
"""Fillers, and selectors between forms of one character: invisible as Unicode's Cf is, though of other categories."""


def bare(name: str) -> str:
    """The name without blanks, byte order marks and other invisible characters (Unicode's Cf) at its ends."""
    kept = [at for at, letter in enumerate(name) if not letter.isspace() and unicodedata.category(letter) != "Cf"]
    return name[kept[0] : kept[-1] + 1] if kept else ""


def visible(name: str) -> str:
    """The name as a reader sees it: accents of one kind, single blanks, no invisible characters."""
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf" and c not in _INVISIBLE)
    return " ".join(unicodedata.normalize("NFC", seen).split())
