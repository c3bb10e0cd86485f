"""What a state may go on as: with more iterations, and with the learning rate that belongs to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yolact.runtime.errors import UsageError
from yolact.training.models.configs import CONFIGS
from yolact.training.run_folder import RunFolder, check_classes
from yolact.training.settings import TrainSettings

CONFIG = CONFIGS["yolact_demo"]
OFFICIAL = {8: (2, 6, 7, 7), 16: (5, 12, 14, 15)}
"""28, 60, 70 and 75 of 80 parts of the way."""


def saved(folder: Path, steps: tuple[int, ...], data: str = "scenes:11") -> RunFolder:
    run = RunFolder(folder)
    parts: dict[str, Any] = {"iteration": 8, "model": {}, "optimizer": {}, "scaler": {}}
    run.save_state(parts, CONFIG, TrainSettings(8, steps), data)
    return run


@pytest.mark.parametrize(
    ("had", "iterations", "asked", "refused"),
    [
        (OFFICIAL[8], 16, OFFICIAL[16], None),
        (OFFICIAL[8], 16, OFFICIAL[8], None),
        ((3,), 16, (3,), None),
        ((), 16, (), None),
        ((3,), 16, OFFICIAL[16], "learning_rate_steps"),
        ((3,), 16, (12,), "learning_rate_steps"),
        (OFFICIAL[8], 8, OFFICIAL[8], None),
        (OFFICIAL[8], 7, (2, 5, 6, 6), "iterations 7 instead of 8"),
        ((3,), 7, (3,), "iterations 7 instead of 8"),
    ],
)
def test_extending(
    tmp_path: Path, had: tuple[int, ...], iterations: int, asked: tuple[int, ...], refused: str | None
) -> None:
    run, settings = saved(tmp_path, had), TrainSettings(iterations, asked)
    if refused is None:
        assert run.load_state(CONFIG, settings, "scenes:11")["iteration"] == 8
        return
    with pytest.raises(UsageError, match=f"cannot resume .*{refused}"):
        run.load_state(CONFIG, settings, "scenes:11")


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 0.5}, {"batch_size": 4}, {"amp": "bf16"}])
def test_an_extension_changes_nothing_else(tmp_path: Path, change: dict[str, Any]) -> None:
    run = saved(tmp_path, (3,))
    with pytest.raises(UsageError, match=next(iter(change))):
        run.load_state(CONFIG, replace(TrainSettings(16, (3,)), **change), "scenes:11")


def test_the_same_data_by_another_path(here: Path) -> None:
    run = saved(here / "run", (3,), "a.json,images")
    settings, start = TrainSettings(8, (3,)), here / "start"
    for data in ("a.json,images", f"{start}/a.json,{start}/images", "start/./a.json,start/images"):
        assert run.load_state(CONFIG, settings, data, start)["iteration"] == 8
    for data in ("b.json,images", f"{here}/a.json,{here}/images"):
        with pytest.raises(UsageError, match="data "):
            run.load_state(CONFIG, settings, data, start)


def test_other_classes(tmp_path: Path) -> None:
    state = saved(tmp_path, (3,)).load_state(CONFIG, TrainSettings(8, (3,)), "scenes:11")
    check_classes(state, CONFIG)
    for config in (CONFIG.with_classes(["a"] * 1), CONFIG.with_classes(CONFIG.class_names[::-1])):
        with pytest.raises(UsageError, match="other classes of yolact_demo"):
            check_classes(state, config)


INPUTS = ["best.pth", "BEST.json", "metrics.csv", "metrics_1.csv", "curves.png", "README.md", "run.json", "state.pth"]


@pytest.mark.parametrize("name", INPUTS)
def test_own_names_are_no_inputs(tmp_path: Path, name: str) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(UsageError, match="would replace"):
        run.check_inputs("yolact_demo", [tmp_path / name])
    run.check_inputs("yolact_demo", [tmp_path / "other" / name, tmp_path / f"x{name}"])


@pytest.mark.parametrize("name", ["validation", "training", "Validation"])
def test_own_folders_hold_no_input_images(tmp_path: Path, name: str) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(UsageError, match="would write pictures into"):
        run.check_inputs("yolact_demo", [], [tmp_path / "x" / ".." / name])
    run.check_inputs("yolact_demo", [], [tmp_path / "images", tmp_path])


def test_best_weights_are_not_overwritten_by_a_new_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.check_unused()
    run.best_file.touch()
    with pytest.raises(UsageError, match=r"best\.pth is there already"):
        run.check_unused()
