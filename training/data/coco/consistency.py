"""Checks that an annotation is consistent: its box and its area with its mask."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from yolact.training.data.coco.annotated_images import Annotation
from yolact.training.data.coco.boxes import MARGIN, Box
from yolact.training.data.coco.faults import raise_faults
from yolact.training.data.coco.segmentations import Extent

logger = logging.getLogger(__name__)

SHOWN = 5
"""Contradictions that the summary quotes."""

LEAST_IOU = 0.7
"""Least IoU of a box with the one around the mask: people draw boxes with some room."""

CORNERS_IOU = 0.95
"""Least IoU from which a box, read as x1, y1, x2, y2, may have been meant so..."""

CORNERS_GAIN = 0.1
"""...if it exceeds the IoU of the regular reading by this much: near the origin both are much the same."""

LEAST_INSIDE = 0.9
"""Least share of the box around the mask that lies in the annotated box."""

MOST_AREA_RATIO = 2.0
"""Largest ratio of the annotated area to that of the mask, or the reverse, above `SMALL_AREA`."""

SMALL_AREA = 100
"""Pixels by which areas may differ whatever their ratio: outlines run through pixels or around them."""

Kind = Literal["boxes", "areas", "empty masks", "names", "duplicates"]


class Contradictions:
    """The contradictions found so far in one file."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sentences: list[str] = []
        self._seen: dict[int, str] = {}

    def add(self, where: str, found: Iterable[tuple[Kind, str]]) -> None:
        """The findings of `compare` in the annotation called `where`."""
        for kind, sentence in found:
            self._add(kind, f"{where} has {sentence}")

    def add_names(self, sentence: str) -> None:
        """Entries that are called the same."""
        self._add("names", sentence)

    def add_repeated(self, where: str, image_id: int, annotation: Annotation) -> None:
        """An annotation, which may be there already: of the same category with the same segmentation."""
        what = annotation.segmentation
        parts = map(tuple, what) if isinstance(what, list) else what["counts"]
        key = hash((image_id, annotation.category_id, *parts))
        if key in self._seen:
            self._add("duplicates", f"{where} repeats {self._seen[key]}: the same image, category and segmentation")
        self._seen.setdefault(key, where)

    def _add(self, kind: Kind, sentence: str) -> None:
        self._counts[kind] += 1
        self._sentences.append(sentence)

    def report(self, source: str, *, strict: bool) -> None:
        """Sum them up in a warning, or raise DatasetError where `strict`; `source` names the file."""
        if strict:
            raise_faults(source, "contradictions", self._sentences)
        counts = ", ".join(f"{kind} {count}" for kind, count in self._counts.most_common())
        if len(self._sentences) == 1:
            logger.warning(
                "%s contradicts itself in 1 place (%s): %s; --strict refuses it", source, counts, self._sentences[0]
            )
        elif self._sentences:
            logger.warning(
                "%s contradicts itself in %d places (%s); --strict refuses it:", source, len(self._sentences), counts
            )
            for number, sentence in enumerate(self._sentences[:SHOWN], 1):
                logger.warning("%4d. %s", number, sentence)
            if len(self._sentences) > SHOWN:
                logger.warning("      and %d more", len(self._sentences) - SHOWN)


def compare(box: Box | None, area: float | None, mask: Extent) -> Iterator[tuple[Kind, str]]:
    """Contradictions of an annotation's box and area with its mask, None for a value that the file does not give."""
    if mask.box is None:
        yield "empty masks", "a segmentation that encloses nothing"
        return
    if box is not None and not _fits(box, mask.box):
        advice = "; as x1, y1, x2, y2 it would fit" if _are_corners(box, mask.box) else ""
        yield "boxes", f"a box {_words(box)} that is not around its mask, which spans {_words(mask.box)}{advice}"
    if area is not None and abs(area - mask.area) > SMALL_AREA:
        small, large = sorted((area, mask.area))
        if large > MOST_AREA_RATIO * small:
            yield "areas", f"an area of {area:g}, but its mask has {mask.area:g} pixels"


def _fits(box: Box, around: Box) -> bool:
    if all(abs(one - other) <= MARGIN for one, other in zip(_corners(box), _corners(around), strict=True)):
        return True
    common = _overlap(box, around)
    is_near = common >= LEAST_IOU * (_size(box) + _size(around) - common) and common >= LEAST_INSIDE * _size(around)
    return is_near and not _are_corners(box, around)


def _are_corners(box: Box, around: Box) -> bool:
    """Whether the box fits where its last two numbers are taken for a corner."""
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return False
    as_corners = _iou((x1, y1, x2 - x1, y2 - y1), around)
    return as_corners >= CORNERS_IOU and as_corners >= _iou(box, around) + CORNERS_GAIN


def _corners(box: Box) -> Box:
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def _size(box: Box) -> float:
    return box[2] * box[3]


def _overlap(box: Box, other: Box) -> float:
    (a, b, c, d), (e, f, g, h) = _corners(box), _corners(other)
    return max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))


def _iou(box: Box, other: Box) -> float:
    common = _overlap(box, other)
    return common / (_size(box) + _size(other) - common)


def _words(box: Box) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
