"""What the user asked of the accuracy gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GateRequest:
    """What the user asked.

    Attributes:
        annotations: file in COCO's format.
        images: folder of its images.
        limit: take only so many of them, None for all.
        max_drop: points of mask AP that may be lost.
    """

    annotations: Path
    images: Path
    limit: int | None
    max_drop: float
