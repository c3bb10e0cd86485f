"""Checks of single values that come from outside: each says what was expected of which field, and what was got."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from yolact.runtime.errors import UsageError
from yolact.runtime.json_text import is_text

MAX_SHOWN = 60
"""Characters of a value in a message."""


class FieldError(UsageError, ValueError):
    """A value that its field does not take."""


def whole(name: str, value: object, least: int, most: int) -> int:
    """A whole number in these limits, which no truth value is. Raises FieldError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        kind = "a positive whole number" if least == 1 else f"a whole number of at least {least}"
        raise FieldError(f"{name} must be {kind}, at most {most}, got {shown(value)}")
    return value


def positive(name: str, value: object, most: float) -> float:
    """A number above 0 and at most `most`. Raises FieldError."""
    if not is_number(value) or not 0 < value <= most:
        raise FieldError(f"{name} must be a number above 0, at most {most:g}, got {shown(value)}")
    return value


def fraction(name: str, value: object) -> float:
    """A number in [0, 1]. Raises FieldError."""
    if not is_number(value) or not 0 <= value <= 1:
        raise FieldError(f"{name} must lie in [0, 1], got {shown(value)}")
    return value


def flag(name: str, value: object) -> bool:
    """A truth value. Raises FieldError."""
    if not isinstance(value, bool):
        raise FieldError(f"{name} must be true or false, got {shown(value)}")
    return value


def text(name: str, value: object, most: int) -> str:
    """A text of at most so many characters, without halves of surrogate pairs and without NUL, which ends a text in C.

    Line breaks and control characters are allowed, since names of classes may have them: `printable` escapes them
    where they are shown. Raises FieldError.
    """
    if not isinstance(value, str) or len(value) > most:
        raise FieldError(f"{name} must be a text of at most {most} characters, got {shown(value)}")
    if "\0" in value or not is_text(value):
        raise FieldError(f"{name} must be text without NUL and without halves of surrogate pairs, got {shown(value)}")
    return value


def one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    """One of some words. Raises FieldError."""
    if not isinstance(value, str) or value not in choices:
        raise FieldError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")
    return value


def entries(
    name: str, value: object, check: Callable[[str, object], Any], least: int = 0, most: int = 1000
) -> tuple[Any, ...]:
    """A list or tuple of so many values, each of which passes the check. Raises FieldError."""
    if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
        got = f"{len(value)} of them" if isinstance(value, (list, tuple)) else shown(value)
        raise FieldError(f"{name} must be a list of {least} to {most} values, got {got}")
    return tuple(check(f"{name}[{index}]", one) for index, one in enumerate(value))


def exactly(name: str, values: object, fields: Mapping[str, object] | tuple[str, ...]) -> dict[str, Any]:
    """An object with these names and no other. Raises FieldError."""
    if not isinstance(values, dict):
        raise FieldError(f"{name} must be an object, got {shown(values)}")
    missing, unknown = [one for one in fields if one not in values], [one for one in values if one not in fields]
    if missing or unknown:
        wrong = f"has no {missing[0]!r}" if missing else f"has {shown(unknown[0])}, which is none of its names"
        raise FieldError(f"{name} {wrong}; expected {', '.join(fields)}")
    return values


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number and no truth value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or math.isfinite(value)  # whole numbers are finite, if too large for a float


def shown(value: object) -> str:
    """A value as messages show it: as Python writes it, cut off where it is long."""
    try:
        written = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        written = "a number of thousands of digits"
    return written if len(written) <= MAX_SHOWN else f"{written[: MAX_SHOWN - 3]}..."
