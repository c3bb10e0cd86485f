"""Images to compare two engines on: a folder, an annotated data set, or made-up scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import read_image
from yolact.runtime.sources import expand_source
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules

if TYPE_CHECKING:
    from yolact.training.data.ground_truth import GroundTruth

MADE_UP = ((480, 640), (640, 428))
"""Sizes of the made-up scenes."""


@dataclass(frozen=True)
class DiffImage:
    """One image: its name, how to read it, and its id in the annotations if there are any."""

    name: str
    read: Callable[[], Image]
    id: int | None = None


@dataclass(frozen=True)
class DiffImages:
    """All images, and their annotations where there are some."""

    images: Sequence[DiffImage]
    truth: GroundTruth | None = None


def find_images(
    data: Path | None, limit: int | None, annotations: Path | None = None, rules: ReadingRules = USUAL
) -> DiffImages:
    """The first `limit` images of a folder or an annotation file, by default all; without a folder made-up scenes.
    `rules` say how annotations and their images are read.

    Raises:
        ImageError: there is no image.
        DatasetError: the annotations contradict themselves or their images.
        UsageError: the folder of the annotated images is not given, or there are fewer made-up scenes than asked for.
    """
    if data is None:
        if annotations is not None:
            raise UsageError("--annotations needs the folder of its images; give it with --data")
        return DiffImages(_made_up(limit))
    if annotations is not None:
        from yolact.training.data.ground_truth import read_ground_truth

        truth = read_ground_truth(annotations, data, limit, rules)
        if not truth.images:
            raise ImageError(f"{annotations} names no image to compare the engines on")
        files = enumerate(zip(truth.images, truth.paths, strict=True))
        return DiffImages(
            [DiffImage(str(path), partial(truth.read, index), image.id) for index, (image, path) in files], truth
        )
    if not data.is_dir():
        raise ImageError(f"--data {data}: expected a folder of images")
    paths = [Path(source.name) for source in expand_source(str(data))][:limit]
    return DiffImages([DiffImage(str(path), partial(read_image, path)) for path in paths])


def _made_up(limit: int | None) -> list[DiffImage]:
    from yolact.runtime.images.check_image import make_check_image

    if limit is not None and limit > len(MADE_UP):
        raise UsageError(f"--limit {limit}: without --data there are {len(MADE_UP)} made-up scenes; give a folder")
    return [
        DiffImage(f"made-up scene {number}", partial(make_check_image, height, width, number))
        for number, (height, width) in enumerate(MADE_UP[:limit], 1)
    ]
