"""Makes the scripts in `benchmarks/`, which import each other by name, modules for tests that import this one first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

sys.path.append(str(BENCHMARKS))  # behind everything else: it has an `engines.py` and the like


def wait_until(condition: Callable[[], object]) -> None:
    """Fails, by and by, where it never comes true."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen within a minute")
