"""Annotation files in COCO's format, read with distrust: contradictions are reported, not trained on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import DatasetError
from yolact.runtime.input_files import read_file
from yolact.runtime.json_text import parse_json
from yolact.runtime.wording import count_noun, list_some, one_line
from yolact.training.data.coco.annotated_images import AnnotatedImage, Annotation, Annotations
from yolact.training.data.coco.boxes import Size, read_box
from yolact.training.data.coco.categories import Categories, equal_names
from yolact.training.data.coco.consistency import Contradictions, compare
from yolact.training.data.coco.entries import id_of, named
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.image_entries import ImageEntries
from yolact.training.data.coco.image_folder import ImageFolder, warn_of_orientation
from yolact.training.data.coco.json_values import field, read_number, read_whole, shown
from yolact.training.data.coco.other_formats import recognise_bytes, recognise_values
from yolact.training.data.coco.segmentations import decode, extent_of, read_segmentation

logger = logging.getLogger(__name__)


def read_annotations(path: Path, folder: ImageFolder | None = None, *, strict: bool = False) -> Annotations:
    """Read and check a file like COCO's ``instances_train2017.json``. See `parse_annotations`.

    Raises DatasetError also where the file cannot be read.
    """
    return parse_annotations(_load_json(path), str(path), folder, strict=strict)


def _load_json(path: Path) -> Any:
    """The file's contents, in UTF-8 or UTF-16, with or without a byte order mark."""
    try:
        data = read_file(path)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}; check the path") from None
    try:
        return parse_json(data)
    except ValueError as error:
        if (told := recognise_bytes(data)) is not None:
            raise DatasetError(f"{path} {told}") from None
        raise DatasetError(f"{path} is no JSON ({one_line(error)}); expected annotations in COCO's format") from None


def parse_annotations(
    content: Any, source: str, folder: ImageFolder | None = None, *, strict: bool = False
) -> Annotations:
    """Check the contents of an annotation file; `source` names it in errors.

    Values with a single meaning are taken: numbers as text, and values that the mask or the rest of the file tells.
    Annotations without a mask or an area, and parts of fewer than three points, are left out; one warning counts them.
    Another one sums up boxes and areas that do not fit their masks; such a file is refused where `strict`.
    Images are looked for in `folder`, if there is one, which then tells sizes that the file does not.

    Raises:
        DatasetError: no images or categories, ids that repeat or refer to nothing, boxes or segmentations that are
            malformed or do not lie in their image, images that are missing or of another size: all faults at once.
    """
    if (told := recognise_values(content)) is not None:
        raise DatasetError(f"{source} {told}")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else shown(content)
        raise DatasetError(f"{source} holds {kind}; expected an object in COCO's format")
    for part in ("images", "annotations", "categories"):
        if not isinstance(content.get(part), list):
            got = list_some([*map(shown, content)], 5) or "nothing"
            raise DatasetError(f"{source} has no list of {part}, but {got}; expected annotations in COCO's format")
    for part in ("images", "categories"):
        if not content[part]:
            raise DatasetError(f"{source} has no {part}")
    if folder is not None:
        folder.check()
    parser = _Parser(content, source, folder)
    doubtful = [] if folder is None else folder.find(parser.images(), parser.faulty, parser.faults)
    parser.faults.check()
    found = parser.finish(strict)
    warn_of_orientation(doubtful, source)
    return found


class _LeftOut(Exception):
    """An annotation that is left out and counted, in words: a noun and the fault."""


class _Parser:
    """Reads one file. Its faults are in `faults`, the ids of images whose annotations have one in `faulty`."""

    def __init__(self, content: Mapping[str, Any], source: str, folder: ImageFolder | None) -> None:
        entries = content["annotations"]
        self._source = source
        self.faults = Faults(source)
        self.faulty: set[int] = set()
        self._contradictions = Contradictions()
        self._left_out: dict[str, list[str]] = {}
        self._used = {id for entry in entries if (id := id_of(entry)) is not None}
        self._next = 1
        self._seen: set[int] = set()
        self._counts = Counter(id_of(entry, "image_id") for entry in entries)
        self._categories = Categories(content["categories"], self.faults)
        self._images = ImageEntries(content["images"], self.faults, self._counts, folder)
        self._grouped: dict[int, list[Annotation]] = {id: [] for id in self._images.names}
        for entry, where in named(entries, "annotations", "annotation"):
            self._add(entry, where)

    def images(self) -> list[AnnotatedImage]:
        """The images without fault, in the order of the file."""
        return [
            AnnotatedImage(id, name, self._images.sizes[id], tuple(self._grouped[id]), self._counts[id])
            for id, name in self._images.names.items()
        ]

    def finish(self, strict: bool) -> Annotations:
        """The contents of a file without faults. Warns of parts that were left out and of contradictions."""
        annotated = {annotation.category_id for group in self._grouped.values() for annotation in group}
        names = self._categories.of_classes(annotated, self._source)
        for sentence in (*equal_names(names), *self._images.equal_names()):
            self._contradictions.add_names(sentence)
        self._tell_left_out()
        self._contradictions.report(self._source, strict=strict)
        return Annotations(tuple(names.values()), tuple(names), tuple(self.images()))

    def _add(self, entry: Any, where: str) -> None:
        image = id_of(entry, "image_id")
        with self.faults.of(where, "annotations", image=image or 0):
            try:
                image_id, annotation = self._read(entry, where)
                self._grouped[image_id].append(annotation)
            except _LeftOut as left_out:
                self._leave_out(str(left_out), where)
            except Fault:
                if image is not None:
                    self.faulty.add(image)
                raise

    def _read(self, entry: Any, where: str) -> tuple[int, Annotation]:
        """The id of its image, and the annotation. Raises Fault or _LeftOut."""
        image_id, category_id = _read_references(entry, self._categories, self._images)
        size = self._images.sizes[image_id]
        crowd, area = _read_crowd(field(entry, "iscrowd")), _read_area(field(entry, "area"))
        given = read_box(field(entry, "bbox"), size)
        if given is not None and (given[2] <= 0 or given[3] <= 0):
            raise _LeftOut("annotation whose box has no area")
        segmentation = read_segmentation(field(entry, "segmentation"), size)
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
        area = mask.area if area is None else area
        annotation = Annotation(self._own_id(entry), category_id, box, area, segmentation.encoded, crowd)
        self._contradictions.add_repeated(where, image_id, annotation)
        return image_id, annotation

    def _leave_out(self, what: str, where: str) -> None:
        self._left_out.setdefault(what, []).append(where)

    def _own_id(self, entry: Mapping[str, Any]) -> int:
        id = id_of(entry)
        if id is None or id in self._seen:
            id = next(free for free in self._free_ids() if free not in self._used)
            self._used.add(id)
        self._seen.add(id)
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


def _read_references(entry: Any, categories: Categories, images: ImageEntries) -> tuple[int, int]:
    """The ids of its image and its category. Raises _LeftOut where one of them has a fault of its own."""
    if not isinstance(entry, dict):
        raise Fault(f"is {shown(entry)}; expected an object")
    image_id, category_id = id_of(entry, "image_id"), id_of(entry, "category_id")
    if image_id is None or image_id not in images.ids:
        raise _unknown(entry.get("image_id"), images.unread, "is on image {}, which is not in the list of images")
    if category_id is None or category_id not in categories.ids:
        sentence = "has category {}, which is not in the list of categories"
        raise _unknown(entry.get("category_id"), categories.unread, sentence)
    if image_id not in images.sizes:
        raise _LeftOut("annotation of a faulty entry")
    return image_id, category_id


def _unknown(id: Any, unread: set[str], sentence: str) -> Exception:
    """The fault of an annotation that refers to nothing; it is left out where the entry it refers to has the fault."""
    return _LeftOut("annotation of a faulty entry") if shown(id) in unread else Fault(sentence.format(shown(id)))


def _read_area(value: Any) -> float | None:
    if value is None:
        return None
    area = read_number(value)
    if area is None or area < 0:
        raise Fault(f"has {shown(value)} as area; expected a number of pixels from 0 on")
    return area


def _read_crowd(value: Any) -> bool:
    if isinstance(value, str):
        value = {"false": False, "true": True}.get(value.strip().lower(), value)
    number = int(value) if isinstance(value, bool) else 0 if value is None else read_whole(value)
    if number not in (0, 1):
        raise Fault(f"has {shown(value)} as iscrowd; expected 0 or 1")
    return bool(number)


def decode_mask(annotation: Annotation, size: Size) -> NDArray[np.uint8]:
    """The annotation's mask (H, W) uint8 of 0 and 1, rasterised as pycocotools does; `size` is the image's."""
    return decode(annotation.segmentation, size)
