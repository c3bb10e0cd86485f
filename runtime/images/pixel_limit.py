"""A limit on the pixels of an image, so that a small file cannot take all memory."""

from __future__ import annotations

import os

from yolact.runtime.errors import ImageError, UsageError

MAX_PIXELS = 200_000_000
"""The limit unless the user sets another: 600 MB of bytes, beyond what cameras make."""

VARIABLE = "YOLACT_MAX_PIXELS"
"""Environment variable with another limit. The processes that prepare images for training inherit it."""


def pixel_limit() -> int:
    """The limit in force. Raises UsageError where the variable is no positive number."""
    text = os.environ.get(VARIABLE) or str(MAX_PIXELS)
    if not (text.isascii() and text.isdecimal() and int(text[:20]) > 0):
        raise UsageError(f"{VARIABLE}: expected a number of pixels, more than 0, got {text!r}")
    return int(text[:20])


def check_pixels(name: str, kind: str, width: int, height: int) -> None:
    """Raise ImageError where an image of this kind, called `name` in errors, has more pixels than the limit."""
    limit = pixel_limit()
    if width * height > limit:
        raise ImageError(
            f"{name}: this {kind} has {width}x{height} pixels, expected at most {limit:,} in all; use a smaller "
            f"one, or raise the limit with --max-pixels or {VARIABLE}"
        )
