"""Damages data at random, the same way for the same seed."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 9, 40, 60, 2400, 2**31, 2**63, 10**400, -(10**30), 0.5, -0.0, 1e308, math.nan),
    *(math.inf, -math.inf, "", " ", "0", "1", "7.0", "1e3", "\u0661", "x", "\x00", "\ud800", "a\nb", "b'0'", "P" * 40),
    *([], {}, [[]], [{}], [None], [[None] * 6], [[[]]], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [[1, 2], [3, 4], [5, 6]]),
    *({"size": [40, 60], "counts": [0, 2400]}, {"counts": "0"}, {"x": 1, "y": 2}, [{"counts": []}], [{"x": 1}], "dog"),
)
"""Values that readers of JSON may not expect."""

PIECES = (b"", b"\x00", b"\xff", b"\xff" * 9, b"\x7f", b"\x80", b"[", b"{", b'"', b"\\ud800", b"\xed\xa0\x80", b"1e999")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every list or dictionary inside, with each of its keys."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [place for key, inner in items for place in [(value, key), *places(inner)]]


def mutate(content: Any, rng: random.Random) -> None:
    """Change one value somewhere inside."""
    container, key = rng.choice(places(content))
    old, how = container[key], rng.random()
    if isinstance(old, str) and how < 0.4:
        at = rng.randrange(len(old) + 1)
        container[key] = old[:at] + chr(rng.choice((rng.randrange(48, 112), rng.randrange(0x20000)))) + old[at + 1 :]
    elif how < 0.1:
        del container[key]
    elif how < 0.2 and isinstance(container, list):
        container.insert(key, copy.deepcopy(rng.choice(container)))
    elif how < 0.3 and isinstance(old, int | float) and not isinstance(old, bool) and abs(old) < 1e300:
        container[key] = rng.choice((float(old), str(old), -old, old + 1, old * 1000))
    else:
        container[key] = copy.deepcopy(rng.choice(NASTY))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some of them changed, left out, repeated, moved, or cut off."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 12))):
        at, length = rng.randrange(len(found) + 1), rng.choice((1, 1, 2, 8, 64))
        how = rng.randrange(6)
        if how == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            found[at : at + length] = rng.choice(PIECES)
        elif how == 2:
            found[at:at] = found[rng.randrange(len(found) + 1) :][:length]
        elif how == 3:
            del found[at : at + length]
        elif how == 4:
            found[at : at + length] = rng.randbytes(length)
        elif rng.random() < 0.2:
            del found[at:]
    return bytes(found)
