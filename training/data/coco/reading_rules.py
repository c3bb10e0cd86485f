"""How annotations and their images are read, where several ways make sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Exif = Literal["apply", "keep"]


@dataclass(frozen=True)
class ReadingRules:
    """What the user decides.

    Attributes:
        strict: refuse files whose boxes or areas do not fit their masks, instead of warning.
        exif: ``apply`` turns images upright as their EXIF orientation says, ``keep`` leaves them as they are stored,
            for annotations of tools that ignore it.
    """

    strict: bool = False
    exif: Exif = "apply"


USUAL = ReadingRules()
"""Unless the user says otherwise."""
