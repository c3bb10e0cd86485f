"""The model that ships with the project really segments, as a checkpoint and as the file exported from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner
from repository import BINS, DEMO_CHECKPOINT

from yolact.cli.export import main as export
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.evaluation.evaluate import Evaluation, evaluate
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS
from yolact.training.models.torch_engine import TorchEngine
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Evaluation]]:
    """By the checkpoint in PyTorch and by the ONNX file, in bins that it was neither trained nor chosen on."""
    engine = tmp_path_factory.mktemp("engine") / "demo.onnx"
    result = CliRunner().invoke(export, ["--weights", str(DEMO_CHECKPOINT), "--output", str(engine)])
    assert result.exit_code == 0, result.output
    detectors = {
        "pth": Detector(TorchEngine(load_checkpoint(DEMO_CHECKPOINT), PostprocessConfig())),
        "onnx": Detector.open(engine),
    }
    truth = read_ground_truth(BINS / ANNOTATION_FILE, BINS / IMAGE_FOLDER)
    yield {name: evaluate(detector, truth, progress=False) for name, detector in detectors.items()}


def test_the_file_is_small_and_names_its_configuration() -> None:
    assert DEMO_CHECKPOINT.stat().st_size <= 8_000_000
    assert load_checkpoint(DEMO_CHECKPOINT).config == CONFIGS["yolact_demo"]


def test_it_segments_what_it_has_not_seen(found: dict[str, Evaluation]) -> None:
    """A little below what docs/results/trained-models.md says of more bins, as a class has few parts in these."""
    mask = found["onnx"].scores.mask
    assert mask.ap is not None and mask.ap > 0.5
    assert mask.ap50 is not None and mask.ap50 > 0.7
    assert all(ap is not None and ap > 0.2 for ap in mask.ap_by_category.values())


def test_checkpoint_and_exported_file_find_the_same(found: dict[str, Evaluation]) -> None:
    first, second = (sorted(row["score"] for row in one.mask_results) for one in found.values())
    assert np.allclose([score for score in first if score > 0.1], [score for score in second if score > 0.1], atol=1e-3)
    for kind in ("box", "mask"):
        first, second = (getattr(one.scores, kind) for one in found.values())
        assert first.ap == pytest.approx(second.ap, abs=0.002)
        assert first.ap_by_category == pytest.approx(second.ap_by_category, abs=0.005)


def test_it_finds_nothing_where_nothing_is() -> None:
    floor = np.full((300, 420, 3), (90, 100, 95), np.uint8)
    with Detector(TorchEngine(load_checkpoint(DEMO_CHECKPOINT), PostprocessConfig())) as detector:
        assert len(detector(floor, score_threshold=0.5)) == 0
