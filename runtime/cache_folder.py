"""The folder of files that this toolkit can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(subject: str) -> Path | None:
    """The folder of that name in the one that YOLACT_CACHE names, else in the user's cache folder (XDG Base Directory).

    None for a user without a home.
    """
    if own := os.environ.get("YOLACT_CACHE"):
        return Path(own) / subject
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home, as in some containers
        return None
    return Path(base) / "yolact" / subject
