"""Small annotated data sets on disk, and an engine that answers as it was told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess.postprocess import NetworkDetections

CONFIG = ModelConfig("told", "resnet50", 64, ("cup", "dog", "bus"), category_ids=(7, 90, 3))
METADATA = ModelMetadata("full", CONFIG, PostprocessConfig(), "", "0")
CATEGORIES = {3: "bus", 7: "cup", 90: "dog"}


@dataclass(frozen=True)
class Thing:
    """An ellipse. `box` is xyxy in whole pixels."""

    class_id: int
    box: tuple[int, int, int, int]
    is_crowd: bool = False

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool; it touches all four sides of the box."""
        left, top, right, bottom = self.box
        y, x = np.mgrid[: size[0], : size[1]] + 0.5
        across = (2 * x - left - right) / (right - left)
        down = (2 * y - top - bottom) / (bottom - top)
        return across**2 + down**2 <= 1.05

    def annotation(self, size: tuple[int, int]) -> dict[str, Any]:
        left, top, right, bottom = self.box
        mask = self.mask(size)
        return {
            "category_id": CONFIG.category_ids[self.class_id],
            "bbox": [left, top, right - left, bottom - top],
            "segmentation": {"size": list(size), "counts": run_lengths(mask)},
            "area": int(mask.sum()),
            "iscrowd": int(self.is_crowd),
        }


@dataclass(frozen=True)
class Picture:
    """What is on an image of ``size`` (height, width)."""

    size: tuple[int, int]
    things: Sequence[Thing] = ()


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run-length encoding: down the columns, zeros first."""
    values = mask.T.ravel()
    ends = np.flatnonzero(np.diff(values)) + 1
    runs = np.diff([0, *ends, len(values)]).tolist()
    return [0, *runs] if values[0] else runs


def write_dataset(folder: Path, pictures: Sequence[Picture]) -> tuple[Path, Path]:
    """The annotation file and the image folder. Images have the ids 10, 20, 30 ... from the last to the first."""
    (folder / "images").mkdir(parents=True)
    content: dict[str, list[Any]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": id, "name": name} for id, name in CATEGORIES.items()],
    }
    for index, picture in enumerate(pictures):
        id, name = 10 * (len(pictures) - index), f"{index}.png"
        height, width = picture.size
        write_image(folder / "images" / name, pixels(index, picture))
        content["images"].append({"id": id, "file_name": name, "height": height, "width": width})
        for thing in picture.things:
            number = len(content["annotations"]) + 1
            content["annotations"].append({"id": number, "image_id": id, **thing.annotation(picture.size)})
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder / "annotations.json", folder / "images"


def pixels(index: int, picture: Picture) -> Image:
    """Noise that tells one picture from the other."""
    return np.random.default_rng(index).integers(0, 256, (*picture.size, 3), dtype=np.uint8)


def perfect(picture: Picture) -> NetworkDetections:
    """All things but crowds, as an ideal network finds them. Masks have the image's own size: nothing blurs them."""
    things = [thing for thing in picture.things if not thing.is_crowd]
    height, width = picture.size
    boxes = np.array([thing.box for thing in things], np.float32).reshape(-1, 4)
    masks = [thing.mask(picture.size) for thing in things]
    return NetworkDetections(
        boxes=boxes / np.array([width, height, width, height], np.float32),
        scores=np.linspace(0.9, 0.5, len(things), dtype=np.float32),
        class_ids=np.array([thing.class_id for thing in things], np.int32),
        masks=np.array(masks, np.float32).reshape(-1, height, width),
    )


@dataclass
class ToldEngine:
    """Knows pictures by the bytes that the preprocessor makes of them and has an answer for each."""

    answers: dict[bytes, NetworkDetections]
    min_batch: int = 1
    max_batch: int | None = None
    metadata: ModelMetadata = METADATA
    streams: int = 1
    batches: list[int] = field(default_factory=list)

    @classmethod
    def on(cls, pictures: Sequence[Picture], answers: Sequence[NetworkDetections]) -> ToldEngine:
        """As many answers as pictures, or fewer: it does not know the others."""
        preprocess = Preprocessor(CONFIG.image_size)
        known = enumerate(zip(pictures, answers, strict=False))
        return cls({preprocess([pixels(i, picture)])[0].tobytes(): answer for i, (picture, answer) in known})

    def close(self) -> None:
        pass

    def detect(self, images: Image) -> list[NetworkDetections]:
        assert images.shape[1:] == (CONFIG.image_size, CONFIG.image_size, 3) and images.dtype == np.uint8
        assert self.min_batch <= len(images) <= (self.max_batch or len(images))
        self.batches.append(len(images))
        nothing = next(iter(self.answers.values()))
        return [self.answers[image.tobytes()] if image.any() else nothing for image in images]
