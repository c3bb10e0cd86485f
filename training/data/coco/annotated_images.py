"""Images and their annotations as they were read, in values of the right types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yolact.training.data.coco.boxes import Box, Size


@dataclass(frozen=True)
class Annotation:
    """One object or crowd.

    Attributes:
        id: as in the file; of those that have none of their own, a number nobody else has.
        category_id: as in the file.
        box: x, y, width, height in pixels of the image; both sizes are positive.
        area: as in the file, else that of the mask, in pixels.
        segmentation: polygons [[x1, y1, x2, y2, ...], ...] or run-length encoding {"size", "counts"}.
        is_crowd: stands for many objects that are not annotated one by one.
    """

    id: int
    category_id: int
    box: Box
    area: float
    segmentation: Any
    is_crowd: bool


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of the file.

    Attributes:
        id: as in the file.
        file_name: as in the file.
        size: (height, width) in pixels.
        annotations: in the order of the file.
        entries: how many annotations the file has of it, also those that were left out.
    """

    id: int
    file_name: str
    size: Size
    annotations: tuple[Annotation, ...]
    entries: int = 0


@dataclass(frozen=True)
class Annotations:
    """A whole file.

    Attributes:
        class_names: names of the categories in the order of their ids.
        category_ids: those ids, ascending.
        images: in the order of the file.
    """

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    images: tuple[AnnotatedImage, ...]
