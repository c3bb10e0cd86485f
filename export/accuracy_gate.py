"""The gate before a file is written: average precision of the export beside that of the network in float32."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yolact.export.half_emulation import emulate_half
from yolact.runtime.errors import AccuracyError

if TYPE_CHECKING:
    import onnx

    from yolact.training.evaluation import Scores
    from yolact.training.ground_truth import GroundTruth


class Accuracy(NamedTuple):
    """Average precision in points, 0 to 100."""

    mask: float
    box: float


class GateResult(NamedTuple):
    """Of the network in float32 and of the export, on so many images."""

    before: Accuracy
    after: Accuracy
    images: int

    @property
    def drop(self) -> float:
        """Points of mask AP lost; negative where it gained."""
        return self.before.mask - self.after.mask


def measure_accuracy(proto: onnx.ModelProto, truth: GroundTruth) -> Accuracy:
    """On ONNX Runtime; half precision is emulated, see `half_emulation`.

    Raises AccuracyError where AP is not defined, as no image has an object of the model's classes.
    """
    from yolact.runtime.detector import Detector
    from yolact.runtime.onnx_engine import OnnxEngine
    from yolact.training.evaluation import evaluate_on

    with tempfile.TemporaryDirectory(prefix="yolact-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(emulate_half(proto).SerializeToString())
        engine = OnnxEngine(path)
        with Detector(engine) as detector:
            scores: Scores = evaluate_on(detector, truth, batch_size=engine.min_batch).scores
    if scores.mask.ap is None or scores.box.ap is None:
        raise AccuracyError("the annotations have no object of the model's classes, so there is no AP to compare")
    return Accuracy(100 * scores.mask.ap, 100 * scores.box.ap)


def check_accuracy(before: onnx.ModelProto, after: onnx.ModelProto, truth: GroundTruth, max_drop: float) -> GateResult:
    """Measure both. Raises AccuracyError where more than `max_drop` points of mask AP are lost."""
    result = GateResult(measure_accuracy(before, truth), measure_accuracy(after, truth), len(truth.images))
    if not result.drop <= max_drop:
        raise AccuracyError(
            f"mask AP falls from {result.before.mask:.2f} to {result.after.mask:.2f}, by more than {max_drop:g} points "
            "(--max-ap-drop); nothing was written. yolact-sensitivity names the layers that cost most, for --exclude"
        )
    return result
