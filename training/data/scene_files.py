"""Synthetic scenes as files: pictures and annotations in COCO's format, for evaluation and for other tools."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.mask_encoding import encode_rle
from yolact.runtime.images.suffixes import IMAGE_SUFFIXES
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.output_files import check_output_folder, replacing
from yolact.training.data.scenes import SIZE, Scene, draw_scene
from yolact.training.models.configs import SCENE_CLASSES

ANNOTATION_FILE = "annotations.json"
IMAGE_FOLDER = "images"

_UNFINISHED = ".unfinished-scenes"
_NAME = re.compile(r"\d{6,}\.png")


def write_scenes(folder: Path, count: int, seed: int, size: tuple[int, int] = SIZE) -> None:
    """Write the first ``count`` scenes of series ``seed`` to ``images/`` and ``annotations.json`` in a folder.

    Args:
        folder: created if needed.
        count, seed: see `scenes.draw_scene`.
        size: (height, width), pixels.

    Scenes of an earlier call are replaced, all of them.

    Raises:
        UsageError: there are other pictures or annotations in the folder, or another call writes into it.
        YolactError: the folder or the disk does not allow it; there is no annotation file then.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    check_output_folder("--output", folder / IMAGE_FOLDER)
    _refuse_foreign(folder)
    try:
        with _claimed(folder):
            _remove_earlier(folder)
            for index in tqdm(range(count), unit=" scenes", disable=None):
                scene = draw_scene(seed, index, size)
                name = f"{index:06}.png"
                write_image(folder / IMAGE_FOLDER / name, scene.image)
                images.append({"id": index + 1, "file_name": name, "height": size[0], "width": size[1]})
                for values in _annotations(scene):
                    annotations.append({"id": len(annotations) + 1, "image_id": index + 1, **values})
            categories = [{"id": id, "name": name} for id, name in enumerate(SCENE_CLASSES, 1)]
            content = {"images": images, "annotations": annotations, "categories": categories}
            with replacing(folder / ANNOTATION_FILE) as temporary:
                temporary.write_text(to_json(content), encoding="utf-8")
            (folder / _UNFINISHED).unlink()
    except OSError as error:
        raise YolactError(f"cannot write scenes to {folder}: {error.strerror}") from error


def _refuse_foreign(folder: Path) -> None:
    """Raise UsageError where the folder holds pictures or annotations that `write_scenes` did not write."""
    index = folder / ANNOTATION_FILE
    has_pictures = any(path.suffix.lower() in IMAGE_SUFFIXES for path in (folder / IMAGE_FOLDER).iterdir())
    if (index.exists() or has_pictures) and not (_is_own(index) or (folder / _UNFINISHED).exists()):
        raise UsageError(
            f"{folder} holds pictures or annotations that are no synthetic scenes; choose another --output, or empty it"
        )


def _is_own(index: Path) -> bool:
    try:
        content = from_json(index.read_bytes())
        names = [category["name"] for category in content["categories"]]
        return names == list(SCENE_CLASSES) and all(_NAME.fullmatch(image["file_name"]) for image in content["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make the file that says, until new annotations are there, whose the pictures are. Its lock keeps others out."""
    try:
        lock = FileLock(folder / _UNFINISHED, os.O_CREAT)
    except FileInUse:
        raise UsageError(f"another run writes scenes into {folder}; wait for it or choose another --output") from None
    except LockUnavailable:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _remove_earlier(folder: Path) -> None:
    """Delete the scenes of an earlier call."""
    (folder / ANNOTATION_FILE).unlink(missing_ok=True)
    for path in (folder / IMAGE_FOLDER).iterdir():
        if _NAME.fullmatch(path.name):
            path.unlink()


def _annotations(scene: Scene) -> list[dict[str, Any]]:
    """The objects of a scene, without ids."""
    found = []
    for class_id, box, mask in zip(scene.class_ids.tolist(), scene.boxes.tolist(), scene.masks, strict=True):
        x1, y1, x2, y2 = box
        height, width = mask.shape
        whole = Region(0, 0, height, width)
        found.append(
            {
                "category_id": class_id + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": int(np.count_nonzero(mask)),
                "iscrowd": 0,
                "segmentation": encode_rle(mask.astype(np.bool_), whole, (height, width)),
            }
        )
    return found
