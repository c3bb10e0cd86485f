"""Validation of a network in training: average precision, and pictures of the same images again and again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K, ModelConfig, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.training.data.class_pairing import check_categories
from yolact.training.data.coco.reading_rules import ReadingRules
from yolact.training.data.datasets import DatasetSpec
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.explain.explanation import explain_network
from yolact.training.explain.pictures import composition_sheet, prototype_sheet
from yolact.training.models.model import Yolact
from yolact.training.models.torch_engine import TorchEngine
from yolact.training.monitor import Monitor
from yolact.training.run_record import Validation
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes
from yolact.training.story.page import SCENES_FOLDER
from yolact.training.story.samples import Sample, draw_pair


def open_validation(spec: str, folder: Path, config: ModelConfig, rules: ReadingRules) -> GroundTruth:
    """Validation data from a dataset's specification; scenes are written into ``folder`` first.

    Raises UsageError or DatasetError where it cannot be opened or has none of the model's categories.
    """
    parsed = DatasetSpec.parse(spec)
    annotations, images = parsed.annotations, parsed.images
    if parsed.scenes:
        folder = folder / SCENES_FOLDER
        write_scenes(SceneRequest(folder, parsed.scenes, parsed.seed))
        annotations, images = folder / ANNOTATION_FILE, folder / IMAGE_FOLDER
    truth = read_ground_truth(annotations, images, rules=rules)
    check_categories(config, truth)
    return truth


class Validator:
    """Validates a network in training, which it leaves as it was, and sends figures and pictures to the monitor."""

    def __init__(
        self,
        model: Yolact,
        monitor: Monitor,
        validation: GroundTruth | None,
        samples: Sequence[Sample],
        postprocess: PostprocessConfig,
    ) -> None:
        """``samples`` are drawn each time; ``postprocess`` is that of the measured network."""
        self._model, self._monitor, self._validation, self._samples = model, monitor, validation, samples
        self._postprocess = postprocess

    def measure(self, iteration: int) -> Validation | None:
        """Send average precision to the monitor; returns it, None where there is no validation data."""
        if self._validation is None:
            return None
        with Detector(TorchEngine(self._model, self._postprocess)) as detector:
            scores = evaluate(detector, self._validation).scores
        measured = {
            f"validation/{kind} {name}": value
            for kind, region in (("box", scores.box), ("mask", scores.mask))
            for name, value in (("AP", region.ap), ("AP50", region.ap50))
            if value is not None
        }
        self._monitor.scalars(measured, iteration)
        return Validation(iteration, scores.box.ap, scores.mask.ap)

    def draw(self, iteration: int) -> list[Image]:
        """Send pictures to the monitor; returns each sample's ground truth beside its detections."""
        names = self._model.config.class_names
        pairs = []
        for number, sample in enumerate(self._samples):
            image = sample.image
            explanation = explain_network(self._model, image).select(DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K)
            found = explanation.in_image(image.shape[:2], names)
            pairs.append(draw_pair(sample, found))
            self._monitor.picture(f"predictions/{number}", pairs[-1], iteration)
            if number == 0:
                self._monitor.picture("prototypes", prototype_sheet(explanation.prototypes, image.shape[:2]), iteration)
            if len(explanation):
                composed = composition_sheet(image, explanation, 0, names)
                self._monitor.picture(f"composition/{number}", composed, iteration)
        return pairs
