"""Validation of a network in training: average precision, and pictures of the same images again and again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K, ModelConfig, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import annotate
from yolact.training.data.class_pairing import check_categories
from yolact.training.data.coco.reading_rules import ReadingRules
from yolact.training.data.datasets import DatasetSpec
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.evaluation.scores import Scores
from yolact.training.explain.explanation import explain_network
from yolact.training.explain.pictures import composition_sheet, prototype_sheet
from yolact.training.models.model import Yolact
from yolact.training.models.torch_engine import TorchEngine
from yolact.training.monitor import Monitor
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes

PICTURES = 4
"""Number of images whose predictions are drawn at each validation."""


def open_validation(spec: str, folder: Path, config: ModelConfig, rules: ReadingRules) -> GroundTruth:
    """Validation data from a dataset's specification; scenes are written into ``folder`` first.

    Raises UsageError or DatasetError where it cannot be opened or has none of the model's categories.
    """
    parsed = DatasetSpec.parse(spec)
    annotations, images = parsed.annotations, parsed.images
    if parsed.scenes:
        folder = folder / "validation-scenes"
        write_scenes(SceneRequest(folder, parsed.scenes, parsed.seed))
        annotations, images = folder / ANNOTATION_FILE, folder / IMAGE_FOLDER
    truth = read_ground_truth(annotations, images, rules=rules)
    check_categories(config, truth)
    return truth


class Validator:
    """Validates a network in training, which it leaves as it was, and sends figures and pictures to the monitor."""

    def __init__(
        self, model: Yolact, monitor: Monitor, validation: GroundTruth | None, pictures: Sequence[Image]
    ) -> None:
        """``pictures``: (H, W, 3) uint8 BGR, drawn each time."""
        self._model, self._monitor, self._validation, self._pictures = model, monitor, validation, pictures

    def validate(self, iteration: int) -> Scores | None:
        """Send pictures and, where there is validation data, average precision to the monitor; returns the latter."""
        self._send_pictures(iteration)
        if self._validation is None:
            return None
        with Detector(TorchEngine(self._model, PostprocessConfig())) as detector:
            scores = evaluate(detector, self._validation).scores
        measured = {
            f"validation/{kind} {name}": value
            for kind, region in (("box", scores.box), ("mask", scores.mask))
            for name, value in (("AP", region.ap), ("AP50", region.ap50))
            if value is not None
        }
        self._monitor.scalars(measured, iteration)
        return scores

    def _send_pictures(self, iteration: int) -> None:
        names = self._model.config.class_names
        for number, image in enumerate(self._pictures):
            explanation = explain_network(self._model, image).select(DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K)
            drawn = annotate(image, explanation.in_image(image.shape[:2], names))
            self._monitor.picture(f"predictions/{number}", drawn, iteration)
            if number == 0:
                self._monitor.picture("prototypes", prototype_sheet(explanation.prototypes, image.shape[:2]), iteration)
            if len(explanation):
                composed = composition_sheet(image, explanation, 0, names)
                self._monitor.picture(f"composition/{number}", composed, iteration)
