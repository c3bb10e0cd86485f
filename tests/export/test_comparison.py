"""How outputs are paired with what they should be, and what is too far off."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolact.export.comparison import Difference, _match, compare_detections
from yolact.export.verify import _check_bounds
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import output_specs
from yolact.runtime.errors import AccuracyError
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.training.models.model import Yolact

CONFIG = ModelConfig("tiny", "mobilenet_v2", 64, ("a", "b"), fpn_channels=16, num_coefficients=4)
LIMITS = PostprocessConfig(max_detections=20)


def detections(boxes: list[list[float]], classes: list[int]) -> NetworkDetections:
    count = len(boxes)
    scores = np.linspace(0.9, 0.5, count, dtype=np.float32)
    return NetworkDetections(np.float32(boxes), scores, np.int32(classes), np.zeros((count, 2, 2), np.float32), None)


A, NEAR_A, B = [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]

PAIRS = {
    "the same": ([A, B], [0, 1], [A, B], [0, 1], ([0, 1], [0, 1])),
    "places changed": ([A, B], [0, 0], [B, A], [0, 0], ([1, 0], [0, 1])),
    "each once": ([A, NEAR_A], [0, 0], [A, B], [0, 0], ([0, 1], [0, 1])),
    "one is missing": ([A, B], [0, 0], [B], [0], ([0], [0])),
    "another class": ([A, B], [0, 1], [A, B], [0, 2], ([0], [0])),
    "none": ([A], [0], [], [], ([], [])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name: str) -> None:
    expected, expected_classes, boxes, classes, pairs = PAIRS[name]
    found = np.float32(boxes).reshape(-1, 4)
    assert _match(detections(expected, expected_classes), found, np.int32(classes)) == pairs


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    """Made-up heads of one image, and the detections that NumPy finds in them."""
    rng = np.random.default_rng(3)
    shapes = {name: spec.shape for name, spec in output_specs("raw", CONFIG, LIMITS).items()}
    heads = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    found = postprocess(ImageHeads(*heads.values()), CONFIG, LIMITS)
    assert len(found.scores) == LIMITS.max_detections
    arrays = {"boxes": found.boxes, "scores": found.scores, "classes": found.class_ids, "masks": found.masks}
    return {**heads, "num_detections": np.int32([len(found.scores)]), **arrays}


def differences(outputs: dict[str, np.ndarray]) -> dict[str, float]:
    with torch.device("meta"):
        model = Yolact(CONFIG)
    return {one.output: one.largest for one in compare_detections(outputs, model, LIMITS, "fp32")}


def test_what_numpy_finds_differs_in_nothing(outputs: dict[str, np.ndarray]) -> None:
    assert set(differences(outputs).values()) == {0}


def test_one_detection_less(outputs: dict[str, np.ndarray]) -> None:
    fewer = outputs | {name: outputs[name].copy() for name in ("boxes", "scores", "classes", "masks")}
    for name in ("boxes", "scores", "classes", "masks"):
        fewer[name][-1] = 0
    fewer["num_detections"] = outputs["num_detections"] - 1
    found = differences(fewer)
    assert (found["num_detections"], found["classes"], found["order, padding"], found["boxes"]) == (1, 1, 0, 0)


@pytest.mark.parametrize("largest", [0.2, float("nan"), float("inf")])
def test_beyond_the_bound(largest: float) -> None:
    _check_bounds([Difference("boxes", 0.1, 0.1)], "fp32")
    with pytest.raises(AccuracyError, match="'boxes' differs from PyTorch by"):
        _check_bounds([Difference("scores", 0, 0), Difference("boxes", largest, 0.1)], "fp32")
