"""COCO's run-length encoding, read with distrust: runs go down the columns, those of zeros and of ones in turn.

pycocotools trusts what it reads: of runs that do not cover the image it makes a mask of uninitialised memory, and of a
number in more groups than its integers hold another number, or none in finite time. So runs are checked here first.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from yolact.training.data.coco.faults import Fault, Misfit
from yolact.training.data.coco.json_values import read_whole, shown

MOST_GROUPS = 6
"""Groups of five bits in a number: pycocotools shifts 32 bits, so a seventh would spoil the sign."""

MOST_PIXELS = 1 << (5 * MOST_GROUPS - 1)
"""Pixels of an image at most, so that any run, and any difference of two, fits into so many groups."""


def read_runs(counts: Any, pixels: int) -> tuple[str | list[int], list[int]]:
    """Run lengths as a list, also one written as text, or in COCO's text form; `pixels` is how many they have to cover.

    Returns the value for pycocotools, and the same as numbers: zeros first, all from 0 on.
    Raises Fault where these are no run lengths or cover another number of pixels.
    """
    counts = _listed(counts)
    if isinstance(counts, list):
        runs = _whole_runs(counts)
        checked: str | list[int] = runs
    else:
        checked = _text_of(counts)
        runs = _parse_runs(checked)
    if runs and min(runs) < 0:
        raise Fault("has run lengths that are no whole numbers from 0 on")
    if (covered := sum(runs)) != pixels:
        raise Misfit(f"has runs that cover {covered} pixels, but its image has {pixels}")
    return checked, runs


def _listed(counts: Any) -> Any:
    """The list that a text such as ``[10, 5]`` or ``10 5 3`` means: COCO's text form has neither blanks nor commas."""
    if not isinstance(counts, str):
        return counts
    text = counts.strip()
    bare = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
    parts = bare.replace(",", " ").split()
    return parts if len(parts) > 1 and all(read_whole(part) is not None for part in parts) else counts


def _whole_runs(counts: Sequence[Any]) -> list[int]:
    whole = [read_whole(run) for run in counts]
    runs = [run for run in whole if run is not None]
    if len(runs) != len(whole):
        raise Fault("has run lengths that are no whole numbers from 0 on")
    return runs


def _text_of(counts: Any) -> str:
    """The text form; also of bytes, and of Python's representation of bytes, which some tools write into JSON."""
    if isinstance(counts, str) and counts[:2] in ("b'", 'b"'):
        try:
            counts = ast.literal_eval(counts)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise Fault("has run lengths in no form that COCO knows") from None
    if isinstance(counts, bytes):
        counts = counts.decode("latin-1")
    if not isinstance(counts, str):
        raise Fault(f"has {shown(counts)} as counts of its mask; expected a list of run lengths or COCO's text form")
    return counts.strip()


def _parse_runs(text: str) -> list[int]:
    """Run lengths of the text form: groups of five bits, from the fourth run on as differences to the last but one.

    Source: pycocotools `rleFrString`.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("utf-8", "replace"):
        bits = character - 48
        if not 0 <= bits <= 0x3F:
            raise Fault("has a character among its run lengths that COCO's text form does not know")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
        elif shift >= 5 * MOST_GROUPS:
            raise Fault(f"has a run length written in more than {MOST_GROUPS} groups; encode its mask again")
    if shift:
        raise Fault("has a run-length encoding that ends within a run")
    return runs


def extent_of_runs(runs: Sequence[int], height: int) -> tuple[tuple[float, float, float, float] | None, int]:
    """The box (x, y, width, height) around the ones in an image of this height, None without any, and their number."""
    top, bottom, area, at = height, -1, 0, 0
    left = right = -1
    for zeros, ones in zip(runs[::2], runs[1::2], strict=False):  # zeros at the end have no ones after them
        at += zeros
        if ones:
            column, row = divmod(at, height)
            right, last = divmod(at + ones - 1, height)
            left = column if left < 0 else left
            # A run that leaves its column at the bottom enters the next one at the top.
            top, bottom = min(top, row if column == right else 0), max(bottom, last if column == right else height - 1)
            area += ones
        at += ones
    return ((left, top, right - left + 1, bottom - top + 1) if area else None), area
