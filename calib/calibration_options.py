"""How to calibrate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolact.calib.thresholds import Algorithm


@dataclass(frozen=True)
class CalibrationOptions:
    """How to calibrate.

    Attributes:
        algorithm: how ranges are chosen, see `thresholds.find_range`.
        batch: images per run of the network; memory for all activations grows with it.
        cache: file that keeps the result for the next time, and beside it the progress; None for neither.
    """

    algorithm: Algorithm = "percentile"
    batch: int = 1
    cache: Path | None = None
