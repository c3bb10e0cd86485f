"""Annotation files in COCO's format, read with distrust: what contradicts itself is named, not trained on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import DatasetError
from yolact.runtime.input_files import read_file
from yolact.runtime.wording import count_noun, one_line
from yolact.training.data.coco.categories import Categories, equal_names, where_of
from yolact.training.data.coco.consistency import Contradictions, compare
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.image_entries import ImageEntries
from yolact.training.data.coco.json_values import read_number, read_whole, shown
from yolact.training.data.coco.segmentations import Box, Size, check_inside, decode, extent_of, read_segmentation

logger = logging.getLogger(__name__)


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
    """One image of the file. ``size`` is (height, width) in pixels."""

    id: int
    file_name: str
    size: Size
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


def read_annotations(path: Path, *, strict: bool = False) -> Annotations:
    """Read and check a file like COCO's ``instances_train2017.json``. See `parse_annotations`.

    Raises DatasetError also where the file cannot be read.
    """
    return parse_annotations(_load_json(path), str(path), strict=strict)


def _load_json(path: Path) -> dict[str, Any]:
    """The file's contents, in UTF-8 or UTF-16, with or without a byte order mark."""
    try:
        content = json.loads(read_file(path))
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}; check the path") from None
    except RecursionError:
        raise DatasetError(f"{path} nests lists too deep; expected annotations in COCO's format") from None
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON ({one_line(error)}); expected annotations in COCO's format") from None
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else shown(content)
        raise DatasetError(f"{path} holds {kind}; expected an object in COCO's format")
    return content


def parse_annotations(content: Mapping[str, Any], source: str, *, strict: bool = False) -> Annotations:
    """Check the contents of an annotation file; `source` names it in errors.

    What has only one meaning is taken: numbers as text, and what can be told from the mask or the rest of the file.
    Annotations without a mask or an area, and parts of fewer than three points, are left out; one warning counts them.
    Another one sums up boxes and areas that do not fit their masks; such a file is refused where `strict`.

    Raises:
        DatasetError: no images or categories, ids that repeat or refer to nothing, boxes or segmentations that are
            malformed or do not lie in their image: all faults of the file at once.
    """
    for part in ("images", "annotations", "categories"):
        if not isinstance(content.get(part), list):
            raise DatasetError(f"{source} has no list of {part}; expected annotations in COCO's format")
    for part in ("images", "categories"):
        if not content[part]:
            raise DatasetError(f"{source} has no {part}")
    return _Parser(source).parse(content, strict)


class _LeftOut(Exception):
    """What an annotation is that is left out and counted: a noun and what sets it apart."""


class _Parser:
    """Reads one file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._faults = Faults(source)
        self._contradictions = Contradictions()
        self._left_out: dict[str, list[str]] = {}
        self._used: set[int] = set()
        self._next = 1

    def parse(self, content: Mapping[str, Any], strict: bool) -> Annotations:
        categories = Categories(content["categories"], self._faults)
        images = ImageEntries(content["images"], self._faults)
        self._used = {id for entry in content["annotations"] if (id := _id_of(entry)) is not None}
        grouped: dict[int, list[Annotation]] = {id: [] for id in images.names}
        seen: set[int] = set()
        for number, entry in enumerate(content["annotations"], 1):
            where = where_of("annotations", number, entry, "annotation")
            with self._faults.of(where):
                try:
                    image_id, annotation = self._read(entry, where, categories, images, seen)
                    grouped[image_id].append(annotation)
                except _LeftOut as left_out:
                    self._leave_out(str(left_out), where)
        self._faults.check()
        annotated = {annotation.category_id for group in grouped.values() for annotation in group}
        names = categories.of_classes(annotated, self._source)
        for sentence in (*equal_names(names), *images.equal_names()):
            self._contradictions.add_names(sentence)
        self._tell_left_out()
        self._contradictions.report(self._source, strict=strict)
        return Annotations(
            class_names=tuple(names.values()),
            category_ids=tuple(names),
            images=tuple(
                AnnotatedImage(id, name, images.sizes[id], tuple(grouped[id])) for id, name in images.names.items()
            ),
        )

    def _read(
        self, entry: Any, where: str, categories: Categories, images: ImageEntries, seen: set[int]
    ) -> tuple[int, Annotation]:
        """The id of its image, and the annotation. Raises Fault or _LeftOut."""
        image_id, category_id = _read_references(entry, categories, images)
        size = images.sizes[image_id]
        crowd = _read_crowd(entry.get("iscrowd"))
        area = None if entry.get("area") is None else _read_area(entry["area"])
        given = None if entry.get("bbox") is None else _read_box(entry["bbox"], size)
        segmentation = read_segmentation(entry.get("segmentation"), size)
        if segmentation.encoded is None:
            raise _LeftOut("annotation without a segmentation")
        for _ in range(segmentation.dropped):
            self._leave_out("part of fewer than three points", f"one of {where}")
        mask = segmentation.mask
        if segmentation.is_estimated and (given is None or area is None or any(compare(given, area, mask))):
            mask = extent_of(segmentation.encoded, size)
        self._contradictions.add(where, compare(given, area, mask))
        box = given or mask.box
        if box is None:
            raise _LeftOut("annotation with neither a box nor a pixel in its mask")
        id = self._own_id(entry, seen)
        area = mask.area if area is None else area
        return image_id, Annotation(id, category_id, box, area, segmentation.encoded, crowd)

    def _leave_out(self, what: str, where: str) -> None:
        self._left_out.setdefault(what, []).append(where)

    def _own_id(self, entry: Mapping[str, Any], seen: set[int]) -> int:
        id = _id_of(entry)
        if id is None or id in seen:
            id = next(free for free in self._free_ids() if free not in self._used)
            self._used.add(id)
        seen.add(id)
        return id

    def _free_ids(self) -> Iterator[int]:
        while True:
            yield self._next
            self._next += 1

    def _tell_left_out(self) -> None:
        if self._left_out:
            counts = [f"{_counted(len(places), what)}, such as {places[0]}" for what, places in self._left_out.items()]
            logger.warning("%s: left out %s", self._source, "; ".join(counts))


def _counted(count: int, what: str) -> str:
    noun, _, rest = what.partition(" ")
    return f"{count_noun(count, noun)} {rest}"


def _id_of(entry: Any) -> int | None:
    return read_whole(entry.get("id")) if isinstance(entry, dict) else None


def _read_references(entry: Any, categories: Categories, images: ImageEntries) -> tuple[int, int]:
    """The ids of its image and its category. Raises _LeftOut where the image has a fault of its own."""
    if not isinstance(entry, dict):
        raise Fault(f"is {shown(entry)}; expected an object")
    image_id, category_id = read_whole(entry.get("image_id")), read_whole(entry.get("category_id"))
    if image_id is None or image_id not in images.ids:
        raise Fault(f"is on image {shown(entry.get('image_id'))}, which is not in the list of images")
    if category_id is None or category_id not in categories.ids:
        raise Fault(f"has category {shown(entry.get('category_id'))}, which is not in the list of categories")
    if image_id not in images.sizes:
        raise _LeftOut("annotation on an image with a fault")
    return image_id, category_id


def _read_box(value: Any, size: Size) -> Box:
    numbers = [read_number(side) for side in value] if isinstance(value, list | tuple) and len(value) == 4 else [None]
    box = tuple(number for number in numbers if number is not None)
    if len(box) != 4:
        raise Fault(f"has {shown(value)} as box; expected a box [x, y, width, height]")
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise _LeftOut("annotation whose box has no area")
    check_inside((x, x + width), (y, y + height), size, "a box")
    return x, y, width, height


def _read_area(value: Any) -> float:
    area = read_number(value)
    if area is None or area < 0:
        raise Fault(f"has {shown(value)} as area; expected a number of pixels from 0 on")
    return area


def _read_crowd(value: Any) -> bool:
    number = int(value) if isinstance(value, bool) else 0 if value is None else read_whole(value)
    if number not in (0, 1):
        raise Fault(f"has {shown(value)} as iscrowd; expected 0 or 1")
    return bool(number)


def decode_mask(annotation: Annotation, size: Size) -> NDArray[np.uint8]:
    """The annotation's mask (H, W) uint8 of 0 and 1, rasterised as pycocotools does; `size` is the image's."""
    return decode(annotation.segmentation, size)
