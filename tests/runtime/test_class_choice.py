"""--classes: names as people type them, whatever is in them."""

from __future__ import annotations

import pytest

from yolact.runtime.class_choice import parse_classes
from yolact.runtime.errors import UsageError

NAMES = (
    "salt",
    "pepper",
    "salt, pepper",
    "two\nlines",
    "Dog",
    "dog",
    "7",
    "\u00e4pfel",
    "a\tb ",
    "\x1b[2J",
    "ÄRMEL,",
    "x\ny \x1b",
    "per\u200bson\ufeff",
)

CHOSEN = {
    "salt": [0],
    "salt,pepper": [0, 1],  # without the blank it is no name
    "salt, pepper": [2],
    "salt, pepper,salt": [2, 0],
    "pepper, salt": [1, 0],
    "pepper,salt, pepper,pepper": [1, 2, 1],
    "two lines": [3],
    "two\nlines": [3],
    r"two\nlines": [3],
    "DOG": [4, 5],
    "4": [4],
    "7": [6],  # a name comes before an id
    "a\u0308pfel": [7],
    "ÄPFEL": [7],
    "a b, 0": [8, 0],
    "Person": [12],
    "\ufeffperson": [12],
    r"\x1b[2J": [9],
    "\x1b[2J": [9],
    r"x y \x1b": [11],
    "ärmel,": [10],
    "ärmel,,3": [10, 3],
    "\udcc3\udc84pfel": [7],  # as Python reads it in the C locale
}


@pytest.mark.parametrize("text", CHOSEN)
def test_names_and_ids(text: str) -> None:
    assert parse_classes(text, NAMES) == CHOSEN[text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sald", "no class 'sald'; did you mean salt?"),
        ("salt,,pepper", "no class ''"),
        ("99", "has classes 0 to 12, got 99"),
        ("\udce4", "--classes \udce4: expected UTF-8, got other bytes"),
        ("salt, sugar", "no class 'sugar'"),
        ("," * 100_000, "no class ''"),
    ],
)
def test_what_is_neither(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_classes(text, NAMES)
    assert message in str(error.value)
