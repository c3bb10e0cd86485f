"""The settings of training: frozen values, with the official ones as defaults (official data/config.py, train.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import UsageError
from yolact.training.data.augmentation import Augmentation

Amp = Literal["bf16", "fp16", "off"]

OFFICIAL_BATCH_SIZE = 8
OFFICIAL_LEARNING_RATE = 1e-3

WARMUP_START = 1e-4
GAMMA = 0.1

_PASCAL_SCHEDULE = (120_000, (60_000, 100_000))
_COCO_SCHEDULE = (800_000, (280_000, 600_000, 700_000, 750_000))


@dataclass(frozen=True)
class TrainSettings:
    """Everything that the resulting numbers depend on, besides configuration, data and initial weights.

    Attributes:
        iterations: gradient steps in all.
        learning_rate_steps: iterations from which the learning rate is a tenth of what it was.
        batch_size: images per gradient step, over all processes and accumulated batches.
        learning_rate: after the warm-up.
        warmup: iterations during which the rate rises linearly from 1e-4.
        momentum, weight_decay: of stochastic gradient descent; all parameters decay, as in the official code.
        accumulate: batches that one gradient step is summed over, where memory does not hold all its images.
        amp: type that convolutions compute in; the loss is always float32.
        augmentation: see `augmentation.augment`.
        frozen_stages: of the backbone, from the images on, that keep their weights and statistics.
        seed: of initial weights, order and augmentation.
    """

    iterations: int
    learning_rate_steps: tuple[int, ...]
    batch_size: int = OFFICIAL_BATCH_SIZE
    learning_rate: float = OFFICIAL_LEARNING_RATE
    warmup: int = 500
    momentum: float = 0.9
    weight_decay: float = 5e-4
    accumulate: int = 1
    amp: Amp = "off"
    augmentation: Augmentation = "full"
    seed: int = 0
    frozen_stages: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "momentum", "weight_decay", "warmup", "seed", "frozen_stages"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be a finite number from 0 on, got {getattr(self, name)}")
        for name, kind in (("amp", Amp), ("augmentation", Augmentation)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")

    def batch_size_per_device(self, processes: int) -> int:
        """Images in one forward pass. Raises UsageError where the batch cannot be divided evenly."""
        size, rest = divmod(self.batch_size, processes * self.accumulate)
        if rest or not size:
            raise UsageError(
                f"a batch of {self.batch_size} images cannot be divided evenly among {processes} processes with "
                f"{self.accumulate} accumulated batches each; choose another --batch-size or --accumulate"
            )
        return size

    def learning_rate_at(self, iteration: int) -> float:
        """The rate of a gradient step, counted from 0."""
        rate = self.learning_rate * GAMMA ** sum(iteration >= step for step in self.learning_rate_steps)
        if iteration < self.warmup and iteration < min(self.learning_rate_steps, default=self.iterations):
            rate = WARMUP_START + (self.learning_rate - WARMUP_START) * iteration / self.warmup
        return rate


def schedule(config: ModelConfig, batch_size: int, iterations: int | None = None) -> tuple[int, tuple[int, ...]]:
    """Iterations and the steps of the learning rate.

    The official schedule, shortened in proportion for batches larger than 8 (official train.py, autoscale) or
    stretched for smaller ones. Other ``iterations`` keep the steps at the same fractions of the way.
    """
    total, steps = _PASCAL_SCHEDULE if config.name == "yolact_resnet50_pascal" else _COCO_SCHEDULE
    if iterations is None:
        return max(1, total * OFFICIAL_BATCH_SIZE // batch_size), tuple(
            step * OFFICIAL_BATCH_SIZE // batch_size for step in steps
        )
    return iterations, tuple(step * iterations // total for step in steps)


def scaled_learning_rate(batch_size: int) -> float:
    """The official rate, in proportion to the batch (official train.py, autoscale)."""
    return OFFICIAL_LEARNING_RATE * batch_size / OFFICIAL_BATCH_SIZE
