"""The two ways in which detections can be shown."""

from __future__ import annotations

from typing import Literal

Way = Literal["as found", "smoothed"]
WAYS: tuple[Way, ...] = ("as found", "smoothed")
"""As `yolact-infer` shows them by default, and with --smooth."""


def json_key(way: Way) -> str:
    """A way's name in files."""
    return way.replace(" ", "_")
