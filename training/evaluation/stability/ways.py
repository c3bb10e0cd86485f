"""The two ways in which what is found can be shown."""

from __future__ import annotations

from typing import Literal

Way = Literal["as found", "smoothed"]
WAYS: tuple[Way, ...] = ("as found", "smoothed")
"""What `yolact-infer` shows, and what it shows with --smooth."""


def json_key(way: Way) -> str:
    """A way's name in files."""
    return way.replace(" ", "_")
