"""Average precision of an ONNX model that is in memory, run by ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import onnx

from yolact.runtime.detector import Detector
from yolact.runtime.errors import DatasetError
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.evaluate import evaluate


class Accuracy(NamedTuple):
    """Average precision in points, 0 to 100."""

    mask: float
    box: float


def measure_accuracy(proto: onnx.ModelProto, truth: GroundTruth, *, progress: bool = True) -> Accuracy:
    """Run a model of yolact-export on annotated images.

    Raises DatasetError where average precision is not defined, because no image has an object.
    """
    with tempfile.TemporaryDirectory(prefix="yolact-") as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(proto, path)
        engine = OnnxEngine(path)
    with Detector(engine) as detector:
        scores = evaluate(detector, truth, batch_size=engine.min_batch, progress=progress).scores
    if scores.mask.ap is None or scores.box.ap is None:
        raise DatasetError(f"{truth.source}: no object is annotated on these images; AP needs some")
    return Accuracy(100 * scores.mask.ap, 100 * scores.box.ap)
