"""The scripts in `benchmarks/` that make up `gpu_check.py`, as modules for tests. They import each other by name."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

sys.path.append(str(BENCHMARKS))  # behind everything else: it has an `engines.py` and the like
