"""JSON as the standard has it: the one place that writes it, and that reads what others wrote."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Lists and objects within each other. Nothing of ours goes deeper than 8."""


def to_json(values: Any, indent: int | None = None) -> str:
    """The text of values, in ASCII. Numbers that JSON lacks, NaN and infinities, raise ValueError.

    Bytes in the name of a file that are no UTF-8 stay the halves of surrogate pairs that Python makes of them, so that
    `os.fsencode` finds the file again.
    """
    return json.dumps(values, indent=indent, allow_nan=False)


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """The values in an untrusted text, of any depth that Python can read, NaN and infinities included.

    Args:
        text: bytes may be UTF-8, UTF-16 or UTF-32, with a byte order mark or without.
        hooks: as of `json.loads`.

    Raises ValueError, in words for a user, where it is no JSON.
    """
    try:
        return json.loads(text, **hooks)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8 or UTF-16") from None
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):  # Python's advice, which is for programmers
            raise ValueError("it has a whole number of thousands of digits") from None
        raise


def from_json(text: str | bytes) -> Any:
    """The values in an untrusted text of at most `MAX_DEPTH` levels.

    Raises ValueError for everything else: no JSON, no UTF-8, NaN and infinities (also numbers too large for a float),
    halves of surrogate pairs, an object with one name twice.
    """
    values = parse_json(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_without_doubles)
    _check(values, MAX_DEPTH)
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:40]} is too large a number")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("an object has one name twice")
    return values


def _check(values: Any, levels: int) -> None:
    """Raise ValueError where a text has half a surrogate pair, or there are too many levels."""
    if isinstance(values, str):
        if not is_text(values):
            raise ValueError("a text has half a surrogate pair, which is no character")
    elif isinstance(values, (list, dict)):
        if levels == 0:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        parts = values if isinstance(values, list) else [*values, *values.values()]
        for part in parts:
            _check(part, levels - 1)


def is_text(text: str) -> bool:
    """Whether a text has only characters. JSON's escapes and names of files can make halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
