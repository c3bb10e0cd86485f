"""A data set for the scripted engine, and what `yolact-eval` prints of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from yolact.runtime.images.image_files import write_image

CATEGORIES = ["person", "dog", "traffic light", "Bus"]


def rectangle(id: int, image: int, category: int, box: tuple[int, int, int, int], crowd: int = 0) -> dict[str, Any]:
    """`box` is x, y, width, height."""
    x, y, width, height = box
    outline = [x, y, x + width, y, x + width, y + height, x, y + height]
    common = {"id": id, "image_id": image, "category_id": category, "bbox": list(box), "area": width * height}
    return {**common, "segmentation": [outline], "iscrowd": crowd}


def scripted_dataset() -> dict[str, Any]:
    """For the scripted engine: in the first image both persons, a shorter dog and a Bus that it does not find; in the
    second, which is black, nothing is found; of the third nothing is annotated, so that all it finds is wrong."""
    sizes = [(40, 60), (30, 50), (60, 40)]
    annotations = [
        rectangle(1, 1, 1, (0, 0, 30, 40)),
        rectangle(2, 1, 1, (30, 0, 30, 20)),
        rectangle(3, 1, 2, (30, 20, 30, 16)),  # of 20 rows: IoU 0.8
        rectangle(4, 1, 4, (2, 2, 10, 10)),
        rectangle(5, 2, 2, (5, 5, 20, 20)),
        rectangle(6, 2, 1, (0, 0, 50, 30), crowd=1),
    ]
    images = [{"id": i, "file_name": f"{i}.png", "height": h, "width": w} for i, (h, w) in enumerate(sizes, 1)]
    categories = [{"id": id, "name": name} for id, name in enumerate(CATEGORIES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_images(content: dict[str, Any], folder: Path) -> None:
    """The images of a data set, of which the second is black."""
    folder.mkdir()
    for image in content["images"]:
        pixels = np.random.default_rng(image["id"]).integers(1, 256, (image["height"], image["width"], 3))
        write_image(folder / image["file_name"], pixels.astype(np.uint8) * (image["id"] != 2))


DATA = ("--annotations", "annotations.json", "--images", "images")


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())
