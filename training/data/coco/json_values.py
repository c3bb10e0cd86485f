"""Values of JSON taken in the one meaning they have, whatever type a tool wrote them in, and shown in messages."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from yolact.runtime.json_text import parse_json

MOST = 2**63 - 1
"""Whole numbers beyond what 64 bits hold are refused: NumPy and other tools would turn them into something else."""

_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,19})(?:\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,40}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\s*")
_NOTHING = ("", "null", "none", "nan")
_LONGEST_TEXT = 60
_LONGEST_LIST = 8
_LARGEST = 10**4000  # Python writes no number of 4,300 digits


def field(entry: Mapping[str, Any], name: str) -> Any:
    """The value of a field, None where it is missing, null, NaN or empty: tools write each of these for "not known"."""
    value = entry.get(name)
    return None if is_nothing(value) else value


def is_nothing(value: Any) -> bool:
    """Whether a value stands for a missing one."""
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    return value is None or value == [] or value == {} or (isinstance(value, float) and math.isnan(value))


def unquoted(value: Any) -> Any:
    """The value of a text that is JSON, or the numbers that it lists, as tables hold them; all else as it is."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("[", "{"):
        try:
            return parse_json(value)
        except ValueError:
            return value
    parts = value.split("," if "," in value else None)
    return parts if len(parts) > 1 and all(read_number(part) is not None for part in parts) else value


def read_whole(value: Any) -> int | None:
    """7 from 7, 7.0, "7" and "7.0"; None from all else, truth values included."""
    if isinstance(value, str) and (match := _WHOLE.fullmatch(value)):
        value = int(match.group(1))
    elif isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        value = int(value)
    return value if type(value) is int and abs(value) <= MOST else None


def read_number(value: Any) -> float | None:
    """7.5 from 7.5 and "7.5"; None from all else, truth values and numbers that are not finite included."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def read_numbers(values: Sequence[Any]) -> Sequence[float] | None:
    """As `read_number` of each; None where one is no number. Numbers are given back as they are."""
    if set(map(type, values)) <= {int, float}:
        try:
            return values if all(map(math.isfinite, values)) else None
        except OverflowError:
            return None
    numbers = [read_number(value) for value in values]
    return None if None in numbers else [number for number in numbers if number is not None]


def shown(value: Any) -> str:
    """A value as its file has it, for a message: short, and never deeper than a list of plain values."""
    if isinstance(value, list | tuple):
        if len(value) > _LONGEST_LIST or any(isinstance(part, list | tuple | dict) for part in value):
            return f"a list of {len(value)}"
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number of thousands of digits"
    text = json.dumps(value, ensure_ascii=False, default=lambda other: f"a {type(other).__name__}")
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
