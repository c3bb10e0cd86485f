"""Leaves out a network's impossible detections: the one place where outputs become detections."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import BoolArray, FloatArray
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess_with_coefficients
from yolact.runtime.wording import count_noun

logger = logging.getLogger(__name__)

_MOST = np.float32(1.001)
"""Largest probability: rounding of a sum of exponentials may add a little to 1."""

_FARTHEST = np.float32(100)
"""Most image sides that a box may reach, and largest predicted IoU: those of the official code stay below 2.4."""

_OVERFLOW = "numbers that overflow do that: compare the file with yolact-diff, or export it without --fp16 and --int8"

_NO_LOGIT = -1e4
"""A logit whose exponential is 0."""


class OutputCheck:
    """Leaves detections with values that are not finite or impossible out, and warns once for each tensor.

    A network whose numbers overflow, as in half precision, answers NaN and infinities; a damaged one answers classes
    that do not exist. Those left out are counted; `close` tells the total where the first warning was not all.
    Several threads may use one object.
    """

    def __init__(self, model: ModelConfig) -> None:
        """`model`: what the engine runs; it has the number of classes."""
        self._model = model
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._told: Counter[str] = Counter()

    def of_outputs(self, count: int, arrays: Sequence[NDArray[Any]]) -> tuple[NetworkDetections, NDArray[np.intp]]:
        """The detections of one image of a full graph, and their indices in its outputs.

        Args:
            count: the image's `num_detections`.
            arrays: the image's other outputs in the order of the contract, each at least `count` long.

        Raises EngineError where the count is out of range.
        """
        most = len(arrays[0])
        if not 0 <= count <= most:
            raise EngineError(f"the engine reports {count} detections of at most {most}; export or build it again")
        found = NetworkDetections(*(array[:count] for array in arrays))
        rows = self.possible(found)
        return (found if len(rows) == count else found[rows]), rows

    def of_heads(self, heads: ImageHeads, settings: PostprocessConfig) -> tuple[NetworkDetections, FloatArray]:
        """As `postprocess_with_coefficients`, with priors that are not finite taken for background."""
        with np.errstate(over="ignore", invalid="ignore"):  # the results of that are left out
            found, coefficients = postprocess_with_coefficients(self._finite(heads), self._model, settings)
        rows = self.possible(found)
        return (found, coefficients) if len(rows) == len(found.scores) else (found[rows], coefficients[rows])

    def of_batch(self, outputs: Sequence[NDArray[Any]], metadata: ModelMetadata) -> list[NetworkDetections]:
        """The detections of each image of a batch, of a full graph or of a raw one, whose heads are post-processed.

        Args:
            outputs: of the network in the order of the contract, (N, ...) each.
            metadata: of the network.
        """
        images = [list(arrays) for arrays in zip(*outputs, strict=True)]
        if metadata.graph == "raw":
            return [self.of_heads(ImageHeads(*arrays), metadata.postprocess)[0] for arrays in images]
        found = [self.of_outputs(int(count[0]), arrays)[0] for count, *arrays in images]
        # Copies where there are several images, so that one's result does not keep the masks of all in memory.
        return found if len(found) == 1 else [one.copy() for one in found]

    def possible(self, found: NetworkDetections) -> NDArray[np.intp]:
        """The indices of the possible detections, in order; the others are counted and warned of."""
        return np.flatnonzero(~self._count(impossible(found, self._model.num_classes), "detections"))

    def possible_boxes(
        self, boxes: FloatArray, scores: FloatArray, class_ids: NDArray[np.int32], mask_scores: FloatArray | None = None
    ) -> NDArray[np.intp]:
        """As `possible`, of detections whose masks are elsewhere."""
        bad = _impossible_boxes(boxes, scores, class_ids, self._model.num_classes) | _impossible_scores(mask_scores)
        return np.flatnonzero(~self._count(bad, "detections"))

    def close(self) -> None:
        """Log the total that was left out, where it is more than the warnings said."""
        with self._lock:
            more = {name: count for name, count in self._dropped.items() if count > self._told[name]}
            self._dropped.clear()
            self._told.clear()
        for name, count in more.items():
            logger.warning("in all, %d rows were left out because of the network's %r", count, name)

    def _finite(self, heads: ImageHeads) -> ImageHeads:
        tensors = {name: getattr(heads, name) for name in ("locations", "confidences", "coefficients")}
        if all(np.isfinite(end) for rows in tensors.values() for end in (rows.min(), rows.max())):
            return heads  # as usual, and five times as quick to see
        bad = self._count({name: ~np.isfinite(rows).all(axis=1) for name, rows in tensors.items()}, "priors")
        if not bad.any():
            return heads
        tensors = {name: np.where(bad[:, None], np.float32(0), rows) for name, rows in tensors.items()}
        tensors["confidences"][bad, 1:] = _NO_LOGIT
        return ImageHeads(**tensors, prototypes=heads.prototypes)

    def _count(self, bad_rows: dict[str, BoolArray], kind: str) -> BoolArray:
        """The rows that are bad in any tensor. Each is counted for the first tensor it is bad in."""
        bad: BoolArray = np.zeros_like(next(iter(bad_rows.values())))
        for name, rows in bad_rows.items():
            new = int((rows & ~bad).sum())
            bad |= rows
            if new:
                self._warn(name, new, f"{len(rows)} {kind}")
        return bad

    def _warn(self, name: str, count: int, of_all: str) -> None:
        with self._lock:
            self._dropped[name] += count
            first = not self._told[name]
            if first:
                self._told[name] = count
        if first:
            logger.warning(
                "the network's %r is NaN, infinite or impossible in %d of %s of an image, which %s left out; %s",
                name,
                count,
                of_all,
                "is" if count == 1 else "are",
                f"its metadata name {count_noun(self._model.num_classes, 'class')}: export it again"
                if name == "classes"
                else _OVERFLOW,
            )


def impossible(found: NetworkDetections, num_classes: int) -> dict[str, BoolArray]:
    """By output of the contract, the detections (D,) with a value in it that is not finite or impossible.

    Boxes may reach beyond the image, but not be inside out, be as large as only an overflow makes them, or lie
    wholly outside: that is a box without area and a mask without pixels, which no instance can match. The official
    code recorded no such detection, so leaving them out changes no number that parity is measured by; it did record
    some with an empty mask inside the image, and those stay. Scores and masks are probabilities. A mask score is a
    probability times a predicted IoU, which is not negative and may exceed 1.
    """
    return {
        **_impossible_boxes(found.boxes, found.scores, found.class_ids, num_classes),
        "masks": ~are_probabilities(found.masks),
        **_impossible_scores(found.mask_scores),
    }


def _impossible_boxes(
    boxes: FloatArray, scores: FloatArray, class_ids: NDArray[np.int32], num_classes: int
) -> dict[str, BoolArray]:
    low, high = boxes[:, :2], boxes[:, 2:]
    in_reach = (low <= high) & (low < 1) & (high > 0) & (low >= -_FARTHEST) & (high <= _FARTHEST)
    return {
        "boxes": np.logical_not(in_reach.all(axis=1)),
        "scores": ~_is_probability(scores, scores),
        "classes": np.logical_or(class_ids < 0, class_ids >= num_classes),
    }


def _impossible_scores(mask_scores: FloatArray | None) -> dict[str, BoolArray]:
    if mask_scores is None:
        return {}
    return {"mask_scores": np.logical_not((mask_scores >= 0) & (mask_scores <= _FARTHEST))}


def are_probabilities(masks: FloatArray) -> BoolArray:
    """(D,) bool: which masks (D, Hp, Wp) hold nothing but probabilities."""
    return _is_probability(masks.min(axis=(1, 2)), masks.max(axis=(1, 2)))


def _is_probability(least: FloatArray, most: FloatArray) -> BoolArray:
    """Comparisons with NaN are false, and the minimum and maximum of values with a NaN are NaN."""
    result: BoolArray = (least >= 0) & (most <= _MOST)
    return result
