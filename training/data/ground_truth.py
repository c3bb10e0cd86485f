"""Annotated images to measure a model on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact.runtime.errors import UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.packages import PackageMissing
from yolact.training.data.coco.annotated_images import AnnotatedImage, Annotations
from yolact.training.data.coco.annotations import read_annotations
from yolact.training.data.coco.image_folder import ImageFolder, read_annotated
from yolact.training.data.coco.reading_rules import USUAL, Exif, ReadingRules


@dataclass(frozen=True)
class GroundTruth:
    """Images that are there, with annotations that do not contradict themselves.

    Attributes:
        source: the annotation file, for messages.
        content: the file's images and categories, and the annotations of `images`, as pycocotools takes them.
        categories: names by id, in the order of the ids.
        images: in the order of the file, also those without any annotation.
        paths: file of each image.
        exif, by_name: see `ReadingRules`.
    """

    source: Path
    content: dict[str, Any]
    categories: dict[int, str]
    images: tuple[AnnotatedImage, ...]
    paths: tuple[Path, ...]
    exif: Exif = "apply"
    by_name: bool | None = None

    def read(self, index: int) -> Image:
        """Image `index`, (H, W, 3) uint8 BGR.

        Raises:
            ImageError: it cannot be read.
            DatasetError: it has another size than the annotations say.
        """
        return read_annotated(self.paths[index], self.images[index], self.exif)

    def count_objects(self) -> Counter[int]:
        """Annotated objects of each category, crowds not counted."""
        return Counter(a.category_id for image in self.images for a in image.annotations if not a.is_crowd)


def read_ground_truth(
    annotations: Path, images: Path, limit: int | None = None, rules: ReadingRules = USUAL
) -> GroundTruth:
    """Read and check an annotation file like COCO's ``instances_val2017.json``.

    Args:
        annotations: the file.
        images: folder of its images.
        limit: take only the first so many images of the file; None for all.
        rules: how it is read.

    Raises:
        DatasetError: the file cannot be read or contradicts itself, or an image is missing.
        UsageError: `limit` is less than 1.
        YolactError: pycocotools is not installed.
    """
    load_pycocotools()
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, or None for all images, got {limit}")
    folder = ImageFolder(images, rules.exif, limit=limit)
    parsed = read_annotations(annotations, folder, strict=rules.strict)
    return GroundTruth(
        source=annotations,
        content=_content(parsed, folder.images),
        categories=dict(zip(parsed.category_ids, parsed.class_names, strict=True)),
        images=folder.images,
        paths=folder.paths,
        exif=rules.exif,
        by_name=rules.by_name,
    )


def _content(parsed: Annotations, chosen: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """In COCO's format, with the annotations of the chosen images."""
    return {
        "images": [
            {"id": image.id, "file_name": image.file_name, "height": image.size[0], "width": image.size[1]}
            for image in parsed.images
        ],
        "categories": [
            {"id": id, "name": name} for id, name in zip(parsed.category_ids, parsed.class_names, strict=True)
        ],
        "annotations": [
            {
                "id": annotation.id,
                "image_id": image.id,
                "category_id": annotation.category_id,
                "bbox": list(annotation.box),
                "area": annotation.area,
                "segmentation": annotation.segmentation,
                "iscrowd": int(annotation.is_crowd),
            }
            for image in chosen
            for annotation in image.annotations
        ],
    }


def load_pycocotools() -> tuple[Any, Any, Any]:
    """Its classes COCO and COCOeval, and its module of masks. Raises YolactError where it is not installed."""
    try:
        from pycocotools import mask
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError:
        raise PackageMissing("evaluating", "pycocotools", "eval") from None
    return COCO, COCOeval, mask
