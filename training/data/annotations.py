"""Annotation files in COCO's format, read with distrust: what contradicts itself is named, not trained on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import DatasetError

logger = logging.getLogger(__name__)

MARGIN = 2
"""Pixels by which boxes and outlines may leave their image: annotation tools round."""


_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""Exceptions that values of the wrong kind lead to in Python."""


@dataclass(frozen=True)
class Annotation:
    """One object or crowd.

    Attributes:
        id: as in the file.
        category_id: as in the file.
        box: x, y, width, height in pixels of the image; both sizes are positive.
        segmentation: polygons [[x1, y1, x2, y2, ...], ...] or run-length encoding {"size", "counts"}.
        is_crowd: stands for many objects that are not annotated one by one.
    """

    id: int
    category_id: int
    box: tuple[float, float, float, float]
    segmentation: Any
    is_crowd: bool


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of the file. ``size`` is (height, width) in pixels."""

    id: int
    file_name: str
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]


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


def read_annotations(path: Path) -> Annotations:
    """Read and check a file like COCO's ``instances_train2017.json``. See `parse_annotations`.

    Raises DatasetError also where the file cannot be read.
    """
    return parse_annotations(load_json(path), str(path))


def load_json(path: Path) -> dict[str, Any]:
    """The file's contents. Raises DatasetError where it is no JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}; check the path") from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is no JSON ({error}); expected annotations in COCO's format") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds a {type(content).__name__}; expected an object in COCO's format")
    return content


def parse_annotations(content: Mapping[str, Any], source: str) -> Annotations:
    """Check the contents of an annotation file; `source` names it in errors.

    Boxes without area, which COCO itself has a few of, are left out with one warning.

    Raises:
        DatasetError: no images or categories, ids that repeat or refer to nothing, boxes or segmentations that are
            malformed or do not lie in their image.
    """
    for part in ("images", "annotations", "categories"):
        if not isinstance(content.get(part), list):
            raise DatasetError(f"{source} has no list of {part}; expected annotations in COCO's format")
    try:
        return _parse(content, source)
    except _MALFORMED as error:
        raise DatasetError(f"{source} is not in COCO's format: {error!r}") from error


def _parse(content: Mapping[str, Any], source: str) -> Annotations:
    categories = _by_id(content["categories"], "category", source)
    images = _by_id(content["images"], "image", source)
    _by_id(content["annotations"], "annotation", source)
    if not images or not categories:
        raise DatasetError(f"{source} has no {'categories' if images else 'images'}")
    sizes = {id: _size(image, f"{source}: image {id}") for id, image in images.items()}
    grouped: dict[int, list[Annotation]] = {id: [] for id in images}
    flat = []
    for entry in content["annotations"]:
        where = f"{source}: annotation {entry['id']}"
        if entry["image_id"] not in images:
            raise DatasetError(f"{where} is on image {entry['image_id']}, which is not in the list of images")
        if entry["category_id"] not in categories:
            raise DatasetError(f"{where} has category {entry['category_id']}, which is not in the list of categories")
        try:
            annotation = _parse_annotation(entry, sizes[entry["image_id"]], where)
        except _MALFORMED as error:
            raise DatasetError(f"{where} is not in COCO's format: {error!r}") from error
        if annotation is None:
            flat.append(entry["id"])
        else:
            grouped[entry["image_id"]].append(annotation)
    if flat:
        logger.warning("%s: left out %d annotations whose box has no area, such as %s", source, len(flat), flat[0])
    ids = sorted(categories)
    return Annotations(
        class_names=tuple(str(categories[id]["name"]) for id in ids),
        category_ids=tuple(ids),
        images=tuple(
            AnnotatedImage(id, str(image["file_name"]), sizes[id], tuple(grouped[id])) for id, image in images.items()
        ),
    )


def _size(image: Mapping[str, Any], where: str) -> tuple[int, int]:
    """(height, width)."""
    size = (image["height"], image["width"])
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise DatasetError(f"{where} has height and width {size}; expected whole numbers from 1 on")
    return size


def _by_id(entries: Iterable[Mapping[str, Any]], kind: str, source: str) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry["id"], int):
            raise DatasetError(f"{source}: {kind} id {entry['id']!r} is no whole number")
        if entry["id"] in found:
            raise DatasetError(f"{source}: there are two entries with {kind} id {entry['id']}")
        found[entry["id"]] = entry
    return found


def _parse_annotation(entry: Mapping[str, Any], size: tuple[int, int], where: str) -> Annotation | None:
    """The annotation, or None where its box has no area."""
    box = tuple(float(value) for value in entry["bbox"])
    if isinstance(entry["bbox"], str) or len(box) != 4 or not all(map(math.isfinite, box)):
        raise DatasetError(f"{where}: expected a box [x, y, width, height], got {entry['bbox']}")
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return None
    _check_inside([x, x + width], [y, y + height], size, f"{where}: its box {entry['bbox']}")
    _check_segmentation(entry["segmentation"], size, where)
    is_crowd = entry.get("iscrowd", 0)
    if is_crowd not in (0, 1):
        raise DatasetError(f"{where}: expected 0 or 1 as iscrowd, got {is_crowd!r}")
    return Annotation(entry["id"], entry["category_id"], (x, y, width, height), entry["segmentation"], bool(is_crowd))


def _check_inside(xs: Any, ys: Any, size: tuple[int, int], what: str) -> None:
    height, width = size
    if min(xs) < -MARGIN or min(ys) < -MARGIN or max(xs) > width + MARGIN or max(ys) > height + MARGIN:
        raise DatasetError(
            f"{what} does not lie in the image of {width}x{height} pixels; annotations and images differ"
        )


def _check_segmentation(segmentation: Any, size: tuple[int, int], where: str) -> None:
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != list(size):
            raise DatasetError(
                f"{where}: its mask has [height, width] {segmentation['size']}, but its image {list(size)}; "
                "encode it again at the size of the image"
            )
        counts = segmentation["counts"]
        runs = counts if isinstance(counts, list) else _expand_runs(counts)
        if not all(isinstance(run, int) and run >= 0 for run in runs):
            raise DatasetError(f"{where}: its run lengths must be whole numbers from 0 on")
        covered = sum(runs)
        if covered != size[0] * size[1]:  # pycocotools would leave the other pixels to chance
            raise DatasetError(f"{where}: its runs cover {covered} pixels, but its image has {size[0] * size[1]}")
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise DatasetError(f"{where}: expected polygons or a run-length encoding as segmentation, got {segmentation!r}")
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise DatasetError(f"{where}: expected polygons [x1, y1, x2, y2, x3, y3, ...], got {polygon!r}")
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in polygon):
            raise DatasetError(f"{where}: a polygon has coordinates that are no numbers")
        _check_inside(polygon[::2], polygon[1::2], size, f"{where}: its outline")


def _expand_runs(counts: str) -> list[int]:
    """Run lengths of a compressed encoding: groups of five bits, from the third run on as differences.

    Source: pycocotools `rleFrString`. Raises ValueError where the text ends within a run.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts.encode("ascii"):
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("a run-length encoding ends within a run")
    return runs


def decode_mask(annotation: Annotation, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The annotation's mask (H, W) uint8 of 0 and 1, rasterised as pycocotools does; `size` is the image's."""
    from pycocotools import mask as coco_mask

    encoded = annotation.segmentation
    if isinstance(encoded, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(encoded, *size))
    elif isinstance(encoded["counts"], list):
        encoded = coco_mask.frPyObjects(encoded, *size)
    decoded: NDArray[np.uint8] = coco_mask.decode(encoded)
    return decoded
