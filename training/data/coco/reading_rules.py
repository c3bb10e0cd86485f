"""Rules for reading annotations and their images, where several ways make sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Exif = Literal["apply", "keep"]


@dataclass(frozen=True)
class ReadingRules:
    """The user's choices.

    Attributes:
        strict: refuse files whose boxes or areas do not fit their masks, instead of warning.
        exif: ``apply`` turns images upright as their EXIF orientation says, ``keep`` leaves them as they are stored,
            for annotations of tools that ignore it.
        by_name: whether a model's classes are measured by the categories of the same names, or else of the same ids;
            None: by names where both sides have the same, see `class_pairing.pair_classes`.
    """

    strict: bool = False
    exif: Exif = "apply"
    by_name: bool | None = None


USUAL = ReadingRules()
"""The rules unless the user says otherwise."""
