"""Training settings against the official schedule, walked as the official loop walks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from yolact.runtime.errors import UsageError
from yolact.training.models.configs import CONFIGS
from yolact.training.settings import TrainSettings, scaled_learning_rate, schedule

BASE = CONFIGS["yolact_base"]


def official_rates(batch_size: int, iterations: list[int]) -> list[float]:
    """Official train.py in its own words: the rate is a variable that iterations change one after another."""
    factor = batch_size / 8
    top = 1e-3 * factor
    steps = [x // factor for x in (280000, 600000, 700000, 750000)]
    rates, current, index = [], top, 0
    for iteration in range(max(iterations) + 1):
        if iteration <= 500:
            current = (top - 1e-4) * (iteration / 500) + 1e-4
        while index < len(steps) and iteration >= steps[index]:
            index += 1
            current = top * 0.1**index
        if iteration in iterations:
            rates.append(current)
    return rates


@pytest.mark.parametrize("batch_size", [3, 6, 8, 12, 16, 64])
def test_the_learning_rate_is_the_official_one(batch_size: int) -> None:
    total, steps = schedule(BASE, batch_size)
    assert total == 800_000 * 8 // batch_size
    settings = TrainSettings(total, steps, batch_size, scaled_learning_rate(batch_size))
    interesting = [0, 1, 250, 499, 500, 501, *(s + d for s in steps for d in (-1, 0, 1)), total - 1]
    expected = official_rates(batch_size, interesting)
    assert [settings.learning_rate_at(i) for i in interesting] == pytest.approx(expected, rel=1e-9)


def test_pascal_has_its_own_schedule() -> None:
    assert schedule(CONFIGS["yolact_resnet50_pascal"], 8) == (120_000, (60_000, 100_000))


def test_other_lengths_keep_the_proportions() -> None:
    assert schedule(BASE, 8, 8000) == (8000, (2800, 6000, 7000, 7500))
    assert schedule(BASE, 16, 8000) == (8000, (2800, 6000, 7000, 7500))
    short = TrainSettings(10, schedule(BASE, 8, 10)[1])
    assert short.learning_rate_at(9) == pytest.approx(1e-7)


def test_a_rate_without_warmup() -> None:
    settings = TrainSettings(100, (50,), learning_rate=0.5, warmup=0)
    assert [settings.learning_rate_at(i) for i in (0, 49, 50, 99)] == pytest.approx([0.5, 0.5, 0.05, 0.05])


def test_dividing_a_batch() -> None:
    settings = TrainSettings(1, (), batch_size=12, accumulate=2)
    assert [settings.batch_size_per_device(world) for world in (1, 2, 3, 6)] == [6, 3, 2, 1]
    for world in (4, 5, 12):
        with pytest.raises(UsageError, match=f"a batch of 12 images cannot be divided evenly among {world} processes"):
            settings.batch_size_per_device(world)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"accumulate": -1}, "accumulate must be at least 1"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number from 0 on, got -1.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number from 0 on, got nan"),
        ({"weight_decay": float("inf")}, "weight_decay must be a finite number"),
        ({"warmup": -1}, "warmup must be a finite number"),
        ({"amp": "fp8"}, "amp must be one of bf16, fp16, off, got 'fp8'"),
        ({"augmentation": "some"}, "augmentation must be one of full, overhead, mirror, none"),
    ],
)
def test_settings_out_of_range(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(TrainSettings(10, (5,)), **change)  # type: ignore[arg-type]
