"""The model of nuclei that ships with the project finds them in photographs that it was not trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from repository import NUCLEI_CHECKPOINT

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS
from yolact.training.models.torch_engine import TorchEngine

EVERY = 13
MANY = PostprocessConfig(top_k=1000, max_detections=400)
"""A photograph holds more nuclei than the 100 that COCO counts."""


@pytest.fixture(scope="module")
def photographs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    """A few from all over the file."""
    folder = shared / "nuclei"
    if not folder.is_dir():
        pytest.skip("the photographs of nuclei are not here -- put their folder, nuclei, into shared")
    content = json.loads((folder / "val.json").read_text())
    content["images"] = content["images"][::EVERY]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] in ids]
    annotations = tmp_path_factory.mktemp("nuclei") / "some.json"
    annotations.write_text(json.dumps(content))
    return read_ground_truth(annotations, folder / "images")


def test_the_file_is_small_and_names_its_configuration() -> None:
    assert NUCLEI_CHECKPOINT.stat().st_size <= 8_000_000
    assert load_checkpoint(NUCLEI_CHECKPOINT).config == CONFIGS["yolact_nuclei"]


def test_it_finds_nuclei_in_photographs_that_it_has_not_seen(photographs: GroundTruth) -> None:
    """These are easier than all 80, of which docs/results has the figures: mask AP is 0.52 and AP50 0.92."""
    with Detector(TorchEngine(load_checkpoint(NUCLEI_CHECKPOINT), MANY)) as detector:
        scores = evaluate(detector, photographs, progress=False).scores
    assert scores.mask.ap50 is not None and scores.mask.ap50 > 0.85
    assert scores.mask.ap is not None and scores.mask.ap > 0.45


def test_it_finds_nothing_in_an_empty_photograph() -> None:
    with torch.no_grad(), Detector(TorchEngine(load_checkpoint(NUCLEI_CHECKPOINT), MANY)) as detector:
        (found,) = detector([np.full((300, 420, 3), 12, np.uint8)], score_threshold=0.3)
    assert len(found) == 0
