"""Validation of a network in training: how many detections count, and which category a class is measured by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
from annotated import CONFIG, METADATA, Picture, Thing, ToldEngine, perfect, write_dataset

from yolact.runtime.config import PostprocessConfig
from yolact.training import validation
from yolact.training.data.coco.reading_rules import USUAL
from yolact.training.data.datasets import open_dataset
from yolact.training.models.model import Yolact
from yolact.training.processes import Processes
from yolact.training.settings import TrainSettings
from yolact.training.story.opening import tell_opening
from yolact.training.train_request import TrainRequest

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)

PICTURES = [Picture((80, 120), [Thing(0, (20, 40, 50, 60)), Thing(1, (70, 10, 110, 50))])]


class Recorder:
    """Takes the place of the monitor."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def scalars(self, values: dict[str, float], iteration: int) -> None:
        self.values = values


@pytest.fixture
def data(tmp_path: Path) -> str:
    """The pictures, whose categories are numbered otherwise than the model's."""
    annotations, images = write_dataset(tmp_path, PICTURES)
    content = json.loads(annotations.read_text())
    other = {7: 90, 90: 3, 3: 7}
    for entry in content["categories"]:
        entry["id"] = other[entry["id"]]
    for entry in content["annotations"]:
        entry["category_id"] = other[entry["category_id"]]
    annotations.write_text(json.dumps(content))
    return f"{annotations},{images}"


@pytest.mark.parametrize(("most", "found"), [(100, False), (120, True)])
def test_how_many_detections_count(
    data: str, tmp_path: Path, most: int, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 110 detections of each class the last is right: a network that has been told its answers."""
    right = perfect(PICTURES[0])
    wrong = replace(right, boxes=np.tile(np.float32((0, 0, 0.05, 0.05)), (2, 1)), masks=np.zeros_like(right.masks))
    parts = [*[wrong] * 109, right]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "class_ids", "masks")
    }
    answer = replace(right, scores=np.linspace(0.9, 0.1, 220, dtype=np.float32), **arrays)
    answers = ToldEngine.on(PICTURES, [answer]).answers
    monkeypatch.setattr(
        validation,
        "TorchEngine",
        lambda _, settings: ToldEngine(answers, metadata=replace(METADATA, postprocess=settings)),
    )
    truth, recorder = validation.open_validation(data, tmp_path, CONFIG, USUAL), Recorder()
    validator = validation.Validator(None, recorder, truth, [], PostprocessConfig(max_detections=most))  # type: ignore[arg-type]
    measured = validator.measure(5)
    assert measured is not None and measured.mask_ap == pytest.approx(1 / 110 if found else 0)
    assert recorder.values["validation/mask AP"] == measured.mask_ap


def test_the_opening_says_what_is_measured(data: str, tmp_path: Path, tiny_config: Any) -> None:
    config = replace(tiny_config, class_names=CONFIG.class_names, category_ids=CONFIG.category_ids)
    settings = TrainSettings(10, ())
    request = TrainRequest(config, settings, data, tmp_path, data, postprocess=PostprocessConfig(max_detections=400))
    truth = validation.open_validation(data, tmp_path, config, USUAL)
    with Processes("cpu") as processes:
        facts = tell_opening(request, open_dataset(data, USUAL), truth, Yolact(config), processes)
    assert facts["validation"].endswith(
        "; AP with at most 400 detections an image; 3 classes paired by name, of which annotations.json numbers 3 "
        "otherwise than the model"
    )
