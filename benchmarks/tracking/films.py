"""Annotated photographs as annotated videos: a camera that pans over each, with a sensor's noise and JPEG's marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import Image
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.mask_encoding import encode_rle
from yolact.runtime.json_text import to_json
from yolact.training.data.ground_truth import GroundTruth, load_pycocotools

_WINDOW = 0.67
"""Sides of what the camera sees, in shares of the photograph's."""

_AREA = 0.5
"""Share of an object that must be in the picture for anybody to be asked to find it."""

_NOISE = 3
"""Standard deviation in grey levels."""


def write_films(folder: Path, photographs: GroundTruth, frames: int, seed: int) -> tuple[Path, Path]:
    """Write a film of each photograph, with tracks, as images and an annotation file; returns both paths.

    The camera crosses the middle of the photograph by 1 to 3 pixels a frame.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(len(photographs.images)):
        random = np.random.default_rng([seed, number])
        photograph = photographs.read(number)
        objects = _objects(photographs, number)
        size = np.array(photograph.shape[1::-1])
        width, height = (size * _WINDOW).astype(int).tolist()
        speed = random.uniform(1, 3, 2) * random.choice([-1, 1], 2)
        slack = (size - (width, height)) / 2
        for frame in range(frames):
            shift = slack + (speed * (frame - frames / 2)).clip(-slack, slack)
            motion = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]])
            name = f"{number:03}_{frame:03}.jpg"
            write_image(folder / "images" / name, _photographed(photograph, motion, (width, height), random))
            of_image = {"height": height, "width": width, "video_id": number + 1, "frame_id": frame}
            images.append({"id": len(images) + 1, "file_name": name, **of_image})
            for track, (category, mask) in enumerate(objects, 1):
                moved = np.asarray(cv2.warpAffine(mask * 255, motion, (width, height))) > 127
                if moved.any():
                    row = _annotation(moved, int(mask.sum()))
                    ids = {"id": len(annotations) + 1, "image_id": len(images), "track_id": track}
                    annotations.append({**ids, "category_id": category, **row})
    path = folder / "annotations.json"
    categories = photographs.content["categories"]
    path.write_text(to_json({"images": images, "annotations": annotations, "categories": categories}))
    return path, folder / "images"


def _objects(photographs: GroundTruth, number: int) -> list[tuple[int, NDArray[np.uint8]]]:
    """Category and mask (H, W), 0 or 1, of each object on a photograph."""
    coco, image = load_pycocotools()[0](), photographs.images[number]
    coco.imgs = {image.id: dict(zip(("height", "width"), image.size, strict=True))}
    mine = (one for one in photographs.content["annotations"] if one["image_id"] == image.id)
    return [(one["category_id"], coco.annToMask(one)) for one in mine]


def _photographed(
    photograph: Image, motion: NDArray[np.float64], size: tuple[int, int], random: np.random.Generator
) -> Image:
    picture = np.asarray(cv2.warpAffine(photograph, motion, size, flags=cv2.INTER_CUBIC))
    return np.clip(picture + random.normal(0, _NOISE, picture.shape), 0, 255).astype(np.uint8)


def _annotation(mask: NDArray[np.bool_], whole: int) -> dict[str, Any]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    area = int(mask.sum())
    return {
        "bbox": [x, y, width, height],
        "area": area,
        "iscrowd": int(area < _AREA * whole),
        "segmentation": encode_rle(mask, Region(0, 0, *mask.shape), (mask.shape[0], mask.shape[1])),
    }
