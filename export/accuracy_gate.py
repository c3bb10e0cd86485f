"""The check before a file is written: average precision of the export, compared with that of the float32 network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yolact.runtime.errors import AccuracyError
from yolact.runtime.metadata import ModelMetadata
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules

if TYPE_CHECKING:
    import onnx

    from yolact.training.data.ground_truth import GroundTruth
    from yolact.training.evaluation.onnx_accuracy import Accuracy


@dataclass(frozen=True)
class GateRequest:
    """What the user asked of the gate.

    Attributes:
        annotations: file in COCO's format.
        images: folder of its images.
        limit: number of images to use, None for all.
        max_drop: points of mask AP that the export may lose.
        rules: how annotations and their images are read.
    """

    annotations: Path
    images: Path
    limit: int | None
    max_drop: float
    rules: ReadingRules = USUAL


class GateResult(NamedTuple):
    """Accuracy of the network in float32 (`before`) and of the export (`after`), the number of images, and what the
    average precision is called."""

    before: Accuracy
    after: Accuracy
    images: int
    ap_words: str = "AP"

    @property
    def drop(self) -> float:
        """Points of mask AP that the export loses; negative for a gain."""
        return self.before.mask - self.after.mask


def check_accuracy(before: onnx.ModelProto, after: onnx.ModelProto, truth: GroundTruth, max_drop: float) -> GateResult:
    """Measure the accuracy of both models. Half precision is emulated, see `half_emulation`.

    Raises AccuracyError where more than `max_drop` points of mask AP are lost, DatasetError where nothing is annotated
    or the float32 network finds too little to judge by.
    """
    from yolact.export.half_emulation import emulate_half
    from yolact.training.evaluation.onnx_accuracy import measure_accuracy
    from yolact.training.evaluation.reference import check_reference
    from yolact.training.evaluation.scores import ap_words, scored_detections

    kept = ModelMetadata.from_proto(before, "the network").postprocess.max_detections
    exact = measure_accuracy(emulate_half(before), truth)
    check_reference(exact.mask, truth.source, max_drop)
    exported = measure_accuracy(emulate_half(after), truth)
    result = GateResult(exact, exported, len(truth.images), ap_words(scored_detections(kept)))
    if not result.drop <= max_drop:
        raise AccuracyError(
            f"mask AP falls from {result.before.mask:.2f} to {result.after.mask:.2f}, by more than {max_drop:g} points "
            "(--max-ap-drop); nothing was written. yolact-sensitivity names the layers that cost most; leave them out "
            "with --exclude"
        )
    return result
