"""PyTorch behind the runtime: what it finds and how it leaves a network that is being trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import missing
import numpy as np
import pytest
import torch
from seeded import seeded

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.evaluation.scores import score_results
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact
from yolact.training.models.torch_engine import TorchEngine

LIMITS = PostprocessConfig(max_detections=20)

QUICK = replace(CONFIGS["yolact_demo"], mask_rescoring=True)
"""Re-scores masks without a heavy backbone."""


@pytest.fixture(scope="module")
def plus_config() -> ModelConfig:
    """YOLACT++ with the smallest input that its re-scoring network takes."""
    config = CONFIGS["yolact_plus_resnet50"].with_classes(("person", "dog", "kite"))
    return replace(config, name="tiny plus", image_size=256, num_coefficients=8)


@pytest.fixture(scope="module")
def plus_engine(
    plus_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return export_seeded(plus_config, tmp_path_factory.mktemp("engine") / "plus.onnx", LIMITS)


@pytest.fixture(params=["tiny", "plus"])
def pair(request: pytest.FixtureRequest) -> tuple[TorchEngine, OnnxEngine]:
    """The same network in PyTorch and as an exported file."""
    model = seeded(request.getfixturevalue(f"{request.param}_config"))
    exported = OnnxEngine(request.getfixturevalue(f"{request.param}_engine"))
    return TorchEngine(model, LIMITS), exported


def stretched(photos: list[Image], engine: TorchEngine) -> Image:
    return Preprocessor(engine.metadata.config.image_size)(photos)


def test_finds_what_the_exported_file_finds(pair: tuple[TorchEngine, OnnxEngine], photos: list[Image]) -> None:
    engine, exported = pair
    images = stretched(photos, engine)
    for found, expected in zip(engine.detect(images), exported.detect(images), strict=True):
        assert len(expected.scores) == LIMITS.max_detections
        np.testing.assert_array_equal(found.class_ids, expected.class_ids)
        for name in ("boxes", "scores", "masks"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-3)
        assert (found.mask_scores is None) == (expected.mask_scores is None)
        if expected.mask_scores is not None:
            np.testing.assert_allclose(found.mask_scores, expected.mask_scores, atol=1e-3)
            assert np.abs(expected.mask_scores - expected.scores).max() > 0.01


def test_same_average_precision_as_the_exported_file(
    pair: tuple[TorchEngine, OnnxEngine], photos: list[Image], tmp_path: Path
) -> None:
    """Annotated is some of what the network itself finds, a little off, so that there is something to measure."""
    pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)
    engine, exported = pair
    content, annotations = annotate(Detector(exported), photos, tmp_path), tmp_path / "annotations.json"
    truth = read_ground_truth(annotations, tmp_path)
    results = [evaluate(Detector(one), truth, batch_size=2) for one in pair]
    for kind in ("box", "mask"):
        ours, theirs = (getattr(result.scores, kind) for result in results)
        assert 0.05 < theirs.ap < 0.95
        assert ours == theirs or ours.ap == pytest.approx(theirs.ap, abs=1e-9)
    if engine.metadata.config.mask_rescoring:
        by_class_score = [
            {**mask, "score": box["score"]}
            for mask, box in zip(results[0].mask_results, results[0].box_results, strict=True)
        ]
        otherwise = score_results(content, results[0].box_results, by_class_score, range(1, 4))
        assert otherwise.box == results[0].scores.box
        assert abs(otherwise.mask.ap - results[0].scores.mask.ap) > 0.01


def annotate(detector: Detector, photos: list[Image], folder: Path) -> dict[str, list[object]]:
    """Write a data set of every other detection, boxes narrower: their IoUs keep away from the thresholds."""
    images, entries = [], []
    for number, photo in enumerate(photos, 1):
        write_image(folder / f"{number}.png", photo)
        height, width = photo.shape[:2]
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        found = detector(photo)
        masks = found.rle()
        for i in range(0, len(found), 2):
            left, top, right, bottom = found.boxes[i].tolist()
            if right > left and bottom > top:
                box = [left, top, (0.52, 0.63, 0.72, 0.83, 0.93)[i % 5] * (right - left), bottom - top]
                entry = {"image_id": number, "category_id": int(found.class_ids[i]) + 1, "bbox": box}
                entries.append({**entry, "id": len(entries) + 1, "segmentation": masks[i]})
    categories = [{"id": id, "name": name} for id, name in enumerate(detector.class_names, 1)]
    content = {"images": images, "annotations": entries, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return content


def test_heads_are_those_of_the_network(tiny_config: ModelConfig, photos: list[Image]) -> None:
    model = seeded(tiny_config)
    images = Preprocessor(96)(photos)
    with torch.no_grad():
        expected = model(model.normalize(torch.from_numpy(images)))
    heads = TorchEngine(model, LIMITS).heads(images)
    assert len(heads) == len(photos)
    for name in ("locations", "confidences", "coefficients", "prototypes"):
        found = np.stack([getattr(one, name) for one in heads])
        np.testing.assert_array_equal(found, getattr(expected, name).numpy())


def test_a_network_in_training_stays_as_it_was(photos: list[Image]) -> None:
    model = seeded(QUICK)
    engine = TorchEngine(model, replace(LIMITS, score_threshold=0.0))
    images = stretched(photos[:2], engine)
    expected = engine.detect(images)
    assert all(len(one.scores) == LIMITS.max_detections for one in expected)
    model.train()
    for index, module in enumerate(model.modules()):  # no pattern that train() or eval() could bring back
        if isinstance(module, torch.nn.BatchNorm2d):
            module.training = index % 3 == 0
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = engine.detect(images)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.mask_scores, other.mask_scores)
    heads = model(model.normalize(torch.from_numpy(images[:1])))  # gradients flow as if nothing had been
    (heads.locations.sum() + heads.segmentation.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.fpn.parameters())


def test_modes_come_back_after_an_error(tiny_config: ModelConfig) -> None:
    model = seeded(tiny_config).train()
    with pytest.raises(RuntimeError):
        TorchEngine(model, LIMITS).heads(np.zeros((1, 8, 8, 5), np.uint8))
    assert all(module.training for module in model.modules())


def test_mixed_precision_around_it_changes_nothing(tiny_config: ModelConfig, photos: list[Image]) -> None:
    model = seeded(tiny_config)
    engine = TorchEngine(model, LIMITS)
    images = Preprocessor(64)(photos[:1])
    expected = engine.heads(images)[0].confidences
    with torch.autocast("cpu", torch.bfloat16):
        low = model(model.normalize(torch.from_numpy(images))).confidences
        found = engine.heads(images)[0].confidences
    assert low.dtype == torch.bfloat16
    np.testing.assert_array_equal(found, expected)


def test_nothing_found() -> None:
    engine = TorchEngine(seeded(QUICK), replace(LIMITS, score_threshold=1.0))
    for size in ((40, 60), (60, 30)):
        found = Detector(engine)(np.zeros((*size, 3), np.uint8))
        assert len(found) == 0 and found.ranking_scores.shape == (0,)


def test_says_what_it_is(tiny_config: ModelConfig) -> None:
    engine = TorchEngine(Yolact(tiny_config), LIMITS, "abc")
    assert (engine.metadata.config, engine.metadata.postprocess) == (tiny_config, LIMITS)
    assert (engine.metadata.weights_sha256, engine.min_batch, engine.max_batch) == ("abc", 1, None)
