"""JSON from outside: one reader, and what it says of what is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from repository import ROOMS, ROOT

from yolact.runtime.json_text import from_json, parse_json


def test_nothing_else_reads_json() -> None:
    """What is no JSON is said in our words, and nesting is no traceback."""
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    readers = {str(path.relative_to(ROOT)) for path in files if re.search(r"json\.loads?\(", path.read_text("utf-8"))}
    assert readers == {"runtime/json_text.py"}


NO_JSON = {
    "digits": ("9" * 7000, "it has a whole number of thousands of digits"),
    "nested": ("[" * 200_000, "it is nested"),
    "bytes": (b"\xff\xfe\x00", "it is no text in UTF-8 or UTF-16"),
    "words": ("nothing", "Expecting value"),
}


@pytest.mark.parametrize("name", NO_JSON)
@pytest.mark.parametrize("read", [parse_json, from_json])
def test_what_is_no_json_is_said_in_words_for_users(read: Callable[[str | bytes], Any], name: str) -> None:
    text, message = NO_JSON[name]
    with pytest.raises(ValueError, match=message) as error:
        read(text)
    assert "sys." not in str(error.value) and "codec" not in str(error.value)
