"""The user's request to `yolact-diff`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from yolact.diff.gates import Limits
from yolact.runtime.engine import EngineOptions
from yolact.runtime.errors import UsageError
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules


@dataclass(frozen=True)
class DiffRequest:
    """The files and data to compare, and how.

    Attributes:
        tested, reference: ONNX file, checkpoint or plan.
        data, limit, annotations, rules: see `images.find_images`.
        layers: compare every shared layer, not only the heads.
        limits: on the differences.
        open_options: how the files are opened.
        config_name: configuration of a checkpoint, see `sides.open_sides`.
    """

    tested: Path
    reference: Path
    data: Path | None = None
    limit: int | None = None
    annotations: Path | None = None
    layers: bool = False
    limits: Limits = field(default_factory=Limits)
    open_options: EngineOptions = field(default_factory=EngineOptions)
    config_name: str | None = None
    rules: ReadingRules = USUAL

    def __post_init__(self) -> None:
        """Raises UsageError where the options contradict each other."""
        suffixes = {self.tested.suffix.lower(), self.reference.suffix.lower()}
        if self.config_name is not None and ".pth" not in suffixes:
            raise UsageError("--config is for checkpoints (.pth); engine files contain their configuration")
