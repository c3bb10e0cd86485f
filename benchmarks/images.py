"""The pictures that benchmarks run on: made-up photos, bins of the demonstration model, and photographs of nuclei."""

from __future__ import annotations

import os
from pathlib import Path

from yolact.calib.image_set import ImageSet
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.image_files import write_image
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes

PHOTO_SIZE = (480, 640)

BIN = Path(__file__).resolve().parents[1] / "examples" / "bins" / "images" / "000006.jpg"
"""A heap of parts, 480 x 640, that the demonstration model was not trained on."""
CALIBRATION_BINS, CALIBRATION_SEED, UNSEEN_SEED = 100, 11, 2
CALIBRATION_PHOTOGRAPHS = 100
_WORKERS = os.cpu_count() or 1


def write_photos(folder: Path, count: int, suffix: str = ".png") -> Path:
    """So many different made-up photos of 480 x 640, in a new folder, which is returned."""
    folder.mkdir()
    for seed in range(count):
        write_image(folder / f"{seed}{suffix}", make_check_image(*PHOTO_SIZE, seed))
    return folder


def calibration_bins(folder: Path) -> ImageSet:
    """Bins to calibrate the demonstration model on, written into a new folder."""
    write_scenes(SceneRequest(folder, CALIBRATION_BINS, CALIBRATION_SEED, kind="bin", workers=_WORKERS))
    return ImageSet.of_folder(folder / IMAGE_FOLDER, CALIBRATION_BINS)


def unseen_bins(folder: Path, count: int, seed: int = UNSEEN_SEED) -> GroundTruth:
    """So many bins that the demonstration model was not trained on, written into a new folder."""
    write_scenes(SceneRequest(folder, count, seed, kind="bin", workers=_WORKERS))
    return read_ground_truth(folder / ANNOTATION_FILE, folder / IMAGE_FOLDER)


def calibration_nuclei(folder: Path) -> ImageSet:
    """Photographs of the training part, to calibrate the model of nuclei on: train.json, val.json, images are there."""
    images = folder / "images"
    names = sorted(path for path in images.iterdir() if path.name.startswith("train_"))
    return ImageSet.of_files(names[:: max(1, len(names) // CALIBRATION_PHOTOGRAPHS)][:CALIBRATION_PHOTOGRAPHS], images)


def unseen_nuclei(folder: Path) -> GroundTruth:
    """The photographs that the model of nuclei was not trained on."""
    return read_ground_truth(folder / "val.json", folder / "images")
