"""The model that ships with the project really segments, as a checkpoint and as the file exported from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from repository import DEMO_CHECKPOINT

from yolact.cli.export import main as export
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.evaluation.scores import Scores
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS
from yolact.training.models.torch_engine import TorchEngine
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes

CHECKPOINTS = [DEMO_CHECKPOINT]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a series that it was neither trained nor measured on while training."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(SceneRequest(folder, 50, seed=77))
    return folder


@pytest.fixture(scope="module")
def scores(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scores]]:
    """Of the checkpoint in PyTorch and of the ONNX file."""
    engine = tmp_path_factory.mktemp("engine") / "demo.onnx"
    result = CliRunner().invoke(export, ["--weights", str(CHECKPOINTS[0]), "--output", str(engine)])
    assert result.exit_code == 0, result.output
    detectors = {
        "pth": Detector(TorchEngine(load_checkpoint(CHECKPOINTS[0]), PostprocessConfig())),
        "onnx": Detector.open(engine),
    }
    truth = read_ground_truth(scenes / ANNOTATION_FILE, scenes / IMAGE_FOLDER)
    yield {name: evaluate(detector, truth, progress=False).scores for name, detector in detectors.items()}


def test_there_is_one_of_at_most_8_mb() -> None:
    (path,) = CHECKPOINTS
    assert path.stat().st_size <= 8_000_000
    assert load_checkpoint(path).config == CONFIGS["yolact_demo"]


def test_it_segments_what_it_has_not_seen(scores: dict[str, Scores]) -> None:
    """A little below what docs/results/demo-model.md says of more scenes."""
    assert scores["onnx"].mask.ap is not None and scores["onnx"].mask.ap > 0.35
    assert scores["onnx"].mask.ap50 is not None and scores["onnx"].mask.ap50 > 0.5
    assert all(ap is not None and ap > 0.2 for ap in scores["onnx"].mask.ap_by_category.values())


def test_checkpoint_and_exported_file_are_equally_good(scores: dict[str, Scores]) -> None:
    for kind in ("box", "mask"):
        first, second = (getattr(scores[name], kind) for name in ("pth", "onnx"))
        assert first.ap == pytest.approx(second.ap, abs=0.002)
        assert first.ap_by_category == pytest.approx(second.ap_by_category, abs=0.005)
