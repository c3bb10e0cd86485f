"""Where the repository is, and what lies in it and beside it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SHARED = ROOT.parent / "shared"
"""Recorded reference numbers and photos; tests that use them are skipped where they are not."""

ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "benchmarks")
"""The folders that are installed."""

BINS = ROOT / "examples" / "bins"
"""Bins of machine parts like those that the demonstration model was trained on: annotations.json and images."""

(DEMO_CHECKPOINT,) = (ROOT / "examples").glob("yolact_demo_*.pth")
(NUCLEI_CHECKPOINT,) = (ROOT / "examples").glob("yolact_nuclei_*.pth")
