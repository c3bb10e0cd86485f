"""The two trained models that ship with the project, each with pictures to measure it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.images import calibration_bins, calibration_nuclei, unseen_bins, unseen_nuclei
from benchmarks.networks import DEMO, NUCLEI, NUCLEI_LIMITS
from yolact.calib.image_set import ImageSet
from yolact.runtime.config import PostprocessConfig
from yolact.training.data.ground_truth import GroundTruth


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and its pictures.

    Attributes:
        checkpoint: its file.
        limits: detections that are kept.
        calibration: for INT8; pictures of the training part or drawn like it.
        truth: pictures that it was not trained on.
    """

    checkpoint: Path
    limits: PostprocessConfig
    calibration: ImageSet
    truth: GroundTruth


def model_of_bins(folder: Path, count: int) -> TrainedModel:
    """The demonstration model, with so many unseen bins that are drawn into new folders in this one."""
    unseen = unseen_bins(folder / "unseen", count)
    return TrainedModel(DEMO, PostprocessConfig(), calibration_bins(folder / "calibration"), unseen)


def model_of_nuclei(folder: Path) -> TrainedModel:
    """The model of nuclei, with the photographs in this folder: train.json, val.json and images."""
    return TrainedModel(NUCLEI, NUCLEI_LIMITS, calibration_nuclei(folder), unseen_nuclei(folder))
