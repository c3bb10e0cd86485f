"""The findings of an evaluation, worked out once for the page and for the JSON of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD
from yolact.runtime.metadata import ModelMetadata
from yolact.training.data.class_pairing import ClassPairs
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.calibration import Calibration, bin_of
from yolact.training.evaluation.confusion import Confusion, ImageOutcome, match_images
from yolact.training.evaluation.evaluate import Evaluation

SCORE_BINS = 20

SIZE_EDGES = (0, 8, 16, 32, 64, 128, 256, 512)
"""Lower edges of the bins that objects are counted in, by the square root of their area in pixels."""


@dataclass(frozen=True)
class Subject:
    """The evaluated model, the data and the settings.

    Attributes:
        model: engine file or checkpoint.
        metadata: of the model.
        truth: the annotated images.
        pairs: its classes and those of the annotations.
        max_detections: of an image, at most.
        options: the command line.
        model_sha256: of the model where that is no file here, else None.
    """

    model: Path
    metadata: ModelMetadata
    truth: GroundTruth
    pairs: ClassPairs
    max_detections: int
    options: tuple[str, ...]
    model_sha256: str | None = None


@dataclass(frozen=True)
class Findings:
    """All figures of a report.

    Attributes:
        subject: the evaluated model and its data.
        evaluation: its scores and times.
        score_threshold: detections that score above it count in `outcomes` and all figures of them.
        outcomes: of each image, in the order of `subject.truth.images`.
        confusion: of all outcomes together.
        calibration: of all detections, by masks at IoU 0.5.
        sizes: (bins, 2) objects found with their class, and others, by `SIZE_EDGES`.
        score_counts: (SCORE_BINS, 2) detections that are right, and others, as for `calibration`.
    """

    subject: Subject
    evaluation: Evaluation
    score_threshold: float
    outcomes: list[ImageOutcome]
    confusion: Confusion
    calibration: Calibration
    sizes: NDArray[np.int64]
    score_counts: NDArray[np.int64]

    @classmethod
    def of(cls, subject: Subject, evaluation: Evaluation) -> Findings:
        """Work them out. Raises YolactError where pycocotools is missing."""
        threshold = DISPLAY_SCORE_THRESHOLD
        outcomes = match_images(subject.truth, evaluation.mask_results, threshold)
        details = evaluation.scores.mask.details
        return cls(
            subject,
            evaluation,
            threshold,
            outcomes,
            Confusion.of(outcomes, subject.truth.categories),
            Calibration.of(details.scores.tolist(), details.right.tolist()),
            _by_size(outcomes),
            _count(bin_of(details.scores, SCORE_BINS), details.right, SCORE_BINS),
        )


def _by_size(outcomes: Sequence[ImageOutcome]) -> NDArray[np.int64]:
    sides = np.sqrt([area for outcome in outcomes for area in outcome.areas])
    found = [true == seen for outcome in outcomes for true, seen in outcome.pairs if true is not None]
    places = np.searchsorted(SIZE_EDGES, sides, side="right") - 1
    return _count(places, np.array(found, np.bool_), len(SIZE_EDGES))


def _count(places: NDArray[np.intp], good: NDArray[np.bool_], bins: int) -> NDArray[np.int64]:
    """(bins, 2): the number of good and of other values in each bin."""
    return np.stack([np.bincount(places[of], minlength=bins) for of in (good, ~good)], axis=1)
