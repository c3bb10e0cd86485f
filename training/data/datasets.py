"""Sources of training images: COCO-format files, or scenes made up on the fly, behind one interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import DatasetError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.training.data.coco.annotated_images import Annotation
from yolact.training.data.coco.annotations import decode_mask, read_annotations
from yolact.training.data.coco.image_folder import ImageFolder, read_annotated
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules
from yolact.training.models.configs import SCENE_CLASSES
from yolact.training.scenes.shapes import draw_shapes

MOST_SCENES = 10_000_000
"""Most images of a dataset: their order is kept in memory."""


@dataclass(frozen=True)
class Sample:
    """One annotated image, in its own pixels.

    Attributes:
        image: (H, W, 3) BGR, uint8 from a dataset, float32 within augmentation.
        boxes: (n, 4) float32 xyxy.
        class_ids: (n,) int64.
        masks: (n, H, W) uint8 of 0 and 1.
        crowd_boxes: (m, 4) float32 xyxy; regions of uncounted objects.
    """

    image: Image | NDArray[np.float32]
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: NDArray[np.uint8]
    crowd_boxes: NDArray[np.float32]


class Dataset(Protocol):
    """A sequence of annotated images."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Image `index` with its objects, at least one. Raises YolactError where it cannot be read."""

    def count_objects(self) -> Counter[int] | None:
        """Objects of each class, by its index, crowds not counted; None where the images are yet to be made."""


class CocoDataset:
    """Images of a folder with annotations in COCO's format; classes are the file's own categories.

    Images without any object that is not a crowd are left out.
    """

    def __init__(self, annotations: Path, images: Path, rules: ReadingRules = USUAL) -> None:
        """Raises DatasetError where the file contradicts itself, an image is missing, or nothing is annotated."""
        folder = ImageFolder(images, rules.exif, with_objects=True)
        content = read_annotations(annotations, folder, strict=rules.strict)
        self.class_names = content.class_names
        self.category_ids = content.category_ids
        self._class_of = {category: index for index, category in enumerate(content.category_ids)}
        self._images, self._paths = folder.images, folder.paths
        if not self._images:
            raise DatasetError(f"{annotations} annotates no object with a mask on any image; boxes do not suffice")
        self._exif = rules.exif

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        record = self._images[index]
        image = read_annotated(self._paths[index], record, self._exif)
        objects = [a for a in record.annotations if not a.is_crowd]
        return Sample(
            image,
            _xyxy(objects),
            np.array([self._class_of[a.category_id] for a in objects], np.int64),
            np.stack([decode_mask(a, record.size) for a in objects]),
            _xyxy([a for a in record.annotations if a.is_crowd]),
        )

    def count_objects(self) -> Counter[int]:
        """Objects of each class that the images show."""
        return Counter(self._class_of[a.category_id] for one in self._images for a in one.annotations if not a.is_crowd)


class SceneDataset:
    """Scenes of `draw_shapes`: no files, no end of variety, exact masks."""

    class_names = SCENE_CLASSES
    category_ids = tuple(range(1, len(SCENE_CLASSES) + 1))

    def __init__(self, count: int, seed: int) -> None:
        """``count`` scenes; another ``seed`` gives other ones."""
        self._count, self._seed = count, seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        scene = draw_shapes(self._seed, index)
        return Sample(
            scene.image,
            scene.boxes,
            scene.class_ids,
            scene.masks,
            np.zeros((0, 4), np.float32),
        )

    def count_objects(self) -> None:
        """Their number is not known before they are drawn."""


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as a command line names it.

    Attributes:
        annotations, images: a file in COCO's format and the folder of its images.
        scenes, seed: instead of these, so many synthetic scenes of that series.
    """

    annotations: Path = Path()
    images: Path = Path()
    scenes: int = 0
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> DatasetSpec:
        """From ``ANNOTATIONS.json,IMAGE_FOLDER`` or ``scenes:COUNT[:SEED]``. Raises UsageError for anything else."""
        kind, *numbers = text.split(":")
        if kind == "scenes" and 1 <= len(numbers) <= 2 and all(n.isdecimal() for n in numbers) and int(numbers[0]):
            if int(numbers[0]) > MOST_SCENES:
                raise UsageError(f"expected at most {MOST_SCENES} scenes, got {numbers[0]}")
            return cls(scenes=int(numbers[0]), seed=int(numbers[1]) if len(numbers) == 2 else 0)
        annotations, comma, images = text.partition(",")
        if not comma or not annotations or not images:
            raise UsageError(f"expected ANNOTATIONS.json,IMAGE_FOLDER or scenes:COUNT[:SEED] as data, got {text!r}")
        return cls(Path(annotations), Path(images))


def open_dataset(spec: str, rules: ReadingRules = USUAL) -> Dataset:
    """The training data that `DatasetSpec` describes. Raises UsageError, DatasetError."""
    parsed = DatasetSpec.parse(spec)
    if parsed.scenes:
        return SceneDataset(parsed.scenes, parsed.seed)
    return CocoDataset(parsed.annotations, parsed.images, rules)


def _xyxy(annotations: Sequence[Annotation]) -> NDArray[np.float32]:
    boxes = np.array([a.box for a in annotations], np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32)
