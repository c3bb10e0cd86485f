"""The processor's cores that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def usable_cores() -> int:
    """Logical cores."""
    return len(_usable()) or os.cpu_count() or 1


def physical_cores() -> int:
    """Cores without their further hardware threads, where Linux tells which belong together; else logical ones."""
    try:
        siblings = {(_CPUS / f"cpu{cpu}" / "topology/thread_siblings_list").read_text() for cpu in _usable()}
    except OSError:
        return usable_cores()
    return len(siblings) or usable_cores()


def _usable() -> set[int]:
    """Numbers of the logical cores; empty where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
