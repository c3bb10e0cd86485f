"""Scenes of flat shapes as annotated videos: a camera that pans over them, with a sensor's noise and JPEG's marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolact.runtime.images.geometry import Region
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.mask_encoding import encode_rle
from yolact.runtime.json_text import to_json
from yolact.training.models.configs import SCENE_CLASSES
from yolact.training.scenes.shapes import SIZE, draw_shapes

_AREA = 0.5
"""Share of an object that must be in the picture for anybody to be asked to find it."""


def write_films(folder: Path, count: int, frames: int, seed: int) -> tuple[Path, Path]:
    """Write the images and an annotation file with tracks; returns both paths.

    The scene is drawn half as large again as the picture, which the camera crosses by 1 to 3 pixels a frame.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    height, width = SIZE
    for number in range(count):
        random = np.random.default_rng([seed, number])
        scene = draw_shapes(seed, number, (height * 3 // 2, width * 3 // 2))
        speed = random.uniform(1, 3, 2) * random.choice([-1, 1], 2)
        middle = np.array([width, height]) / 4
        for frame in range(frames):
            shift = middle + speed * (frame - frames / 2)
            motion = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]])
            picture = np.asarray(cv2.warpAffine(scene.image, motion, (width, height), flags=cv2.INTER_CUBIC))
            noisy = np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
            name = f"{number:03}_{frame:03}.jpg"
            write_image(folder / "images" / name, noisy)
            size = {"height": height, "width": width, "video_id": number + 1, "frame_id": frame}
            images.append({"id": len(images) + 1, "file_name": name, **size})
            for track, (mask, class_id) in enumerate(zip(scene.masks, scene.class_ids.tolist(), strict=True), 1):
                moved = np.asarray(cv2.warpAffine(mask * 255, motion, (width, height))) > 127
                if moved.any():
                    row = _annotation(moved, int(mask.sum()))
                    ids = {"id": len(annotations) + 1, "image_id": len(images), "track_id": track}
                    annotations.append({**ids, "category_id": class_id + 1, **row})
    categories = [{"id": id, "name": name} for id, name in enumerate(SCENE_CLASSES, 1)]
    path = folder / "annotations.json"
    path.write_text(to_json({"images": images, "annotations": annotations, "categories": categories}))
    return path, folder / "images"


def _annotation(mask: np.ndarray, whole: int) -> dict[str, Any]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    area = int(mask.sum())
    return {
        "bbox": [x, y, width, height],
        "area": area,
        "iscrowd": int(area < _AREA * whole),
        "segmentation": encode_rle(mask, Region(0, 0, *mask.shape), (mask.shape[0], mask.shape[1])),
    }
