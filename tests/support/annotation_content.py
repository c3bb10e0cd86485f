"""A small annotation file as JSON values, and changes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CONTENT: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.png", "height": 40, "width": 60}],
    "categories": [{"id": 9, "name": "kite"}, {"id": 3, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 5, 20, 10], "iscrowd": 0,
         "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1,
         "segmentation": {"size": [40, 60], "counts": [0, 2400]}},
    ],
}  # fmt: skip


Edit = Callable[[dict[str, Any]], object]


def edit(path: str, value: object) -> Edit:
    """Set `annotations.0.bbox`, or delete it where the value is `...`."""

    def apply(content: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        target: Any = content
        for part in parents:
            target = target[part]
        if value is ...:
            del target[last]
        else:
            target[last] = value

    return apply
