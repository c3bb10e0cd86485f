"""Counts objects that a detector finds, misses and takes for another class, at one IoU and one score threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.training.data.coco.annotated_images import AnnotatedImage, Annotation
from yolact.training.data.coco.segmentations import compressed
from yolact.training.data.ground_truth import GroundTruth, load_pycocotools
from yolact.training.evaluation.scores import Row

IOU = 0.5
"""Least IoU of the masks of an object and of the detection in its place."""


@dataclass(frozen=True)
class ImageOutcome:
    """The fate of the objects of an image and of its detections.

    Attributes:
        pairs: category ids of an object and of the detection in its place, each None where there is no such. For
            a missed object the latter is None, for a detection without an object the former.
        areas: of the objects of those pairs that have one, in their order, in pixels.
        shown: the detections, best first.
    """

    pairs: tuple[tuple[int | None, int | None], ...]
    areas: tuple[float, ...]
    shown: tuple[Row, ...]

    @property
    def right(self) -> int:
        """Objects that are found with their class."""
        return sum(true == found for true, found in self.pairs)

    @property
    def wrong(self) -> int:
        """Objects that are missed or taken for another class, and detections without an object."""
        return len(self.pairs) - self.right

    @property
    def badness(self) -> float:
        """A measure of the image's errors: their number, weighed with their share."""
        return self.wrong**2 / len(self.pairs) if self.pairs else 0.0


def match_images(truth: GroundTruth, mask_results: Sequence[Row], score_threshold: float) -> list[ImageOutcome]:
    """The outcome of each image, in the order of `truth.images`, of detections that score above the threshold.

    Args:
        mask_results: as in `Evaluation`, with categories of the annotations.
    """
    by_image: dict[int, list[Row]] = {}
    for row in mask_results:
        if row["score"] > score_threshold:
            by_image.setdefault(row["image_id"], []).append(row)
    return [match_image(image, by_image.get(image.id, [])) for image in truth.images]


def match_image(image: AnnotatedImage, rows: Sequence[Row]) -> ImageOutcome:
    """Pair objects and detections: first those of the same category, then the rest of any.

    In both passes the best detection goes first and takes the free object with the largest mask IoU, `IOU` at least. So
    an object counts as confused only where it is not found with its class. A detection that is left over and lies in a
    crowd of its category by half is not counted.
    """
    shown = sorted(rows, key=lambda row: -row["score"])
    objects = [entry for entry in image.annotations if not entry.is_crowd]
    crowds = [entry for entry in image.annotations if entry.is_crowd]
    overlap = _overlap(image, shown, objects)
    partner = _pair(overlap, [row["category_id"] for row in shown], [entry.category_id for entry in objects])
    inside = _overlap(image, shown, crowds)
    pairs: list[tuple[int | None, int | None]] = []
    found_by = {taken: index for index, taken in partner.items()}
    for number, entry in enumerate(objects):
        index = found_by.get(number)
        pairs.append((entry.category_id, None if index is None else shown[index]["category_id"]))
    for index, row in enumerate(shown):
        hidden = any(
            inside[index, k] >= IOU and crowd.category_id == row["category_id"] for k, crowd in enumerate(crowds)
        )
        if index not in partner and not hidden:
            pairs.append((None, row["category_id"]))
    return ImageOutcome(tuple(pairs), tuple(entry.area for entry in objects), tuple(shown))


def _overlap(image: AnnotatedImage, rows: Sequence[Row], entries: Sequence[Annotation]) -> NDArray[np.float64]:
    """(D, G) mask IoU; of crowds the share of the detection that lies in them."""
    if not rows or not entries:
        return np.zeros((len(rows), len(entries)))
    mask = load_pycocotools()[2]
    theirs = [compressed(entry.segmentation, image.size) for entry in entries]
    found = mask.iou([row["segmentation"] for row in rows], theirs, [int(entry.is_crowd) for entry in entries])
    return np.asarray(found, np.float64)


def _pair(overlap: NDArray[np.float64], found: Sequence[int], true: Sequence[int]) -> dict[int, int]:
    """The object of each detection that has one, both by number."""
    same = np.array(found).reshape(-1, 1) == np.array(true).reshape(1, -1)
    partner: dict[int, int] = {}
    for candidates in (np.where(same, overlap, 0.0), overlap):
        free = candidates.copy()
        free[:, list(partner.values())] = 0
        for index in range(len(found)):
            if index in partner or not len(true) or free[index].max() < IOU:
                continue
            partner[index] = int(free[index].argmax())
            free[:, partner[index]] = 0
    return partner


@dataclass(frozen=True)
class Confusion:
    """Counts of all images together.

    Attributes:
        ids: category ids, those of rows and columns but the last.
        counts: (C + 1, C + 1): rows are annotated classes, columns detected ones; the last row counts detections
            without an object, the last column objects that are missed.
    """

    ids: tuple[int, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, outcomes: Sequence[ImageOutcome], categories: Mapping[int, Any]) -> Confusion:
        """Counts of these outcomes."""
        ids = tuple(categories)
        place: dict[int | None, int] = {id: index for index, id in enumerate(ids)} | {None: len(ids)}
        counts = np.zeros((len(ids) + 1, len(ids) + 1), np.int64)
        for pair, count in Counter(pair for outcome in outcomes for pair in outcome.pairs).items():
            counts[place[pair[0]], place[pair[1]]] = count
        return cls(ids, counts)

    def of_classes(self, indices: Sequence[int]) -> Confusion:
        """The matrix with these rows and columns alone, and the background."""
        kept = [*indices, len(self.ids)]
        return Confusion(tuple(self.ids[index] for index in indices), self.counts[np.ix_(kept, kept)])

    def precision(self, index: int) -> float | None:
        """Precision: the share of this class's detections that are right; None where there are none."""
        return _share(self.counts[index, index], self.counts[:, index].sum())

    def recall(self, index: int) -> float | None:
        """Recall: the share of this class's objects that are found with their class; None where there are none."""
        return _share(self.counts[index, index], self.counts[index].sum())

    def most_frequent(self, most: int) -> list[tuple[int, int, int]]:
        """The pairs of classes that are most often taken for each other: row, column and count, without background."""
        inner = self.counts[:-1, :-1].copy()
        np.fill_diagonal(inner, 0)
        order = np.argsort(-inner, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, inner.shape)
        return [(int(r), int(c), int(inner[r, c])) for r, c in zip(rows, columns, strict=True) if inner[r, c]]


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
