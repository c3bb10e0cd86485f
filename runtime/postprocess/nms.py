"""Box decoding and the three kinds of NMS of the official code, for one image, in NumPy.

The ONNX functions and the CUDA kernels are compared with it. Where the official sorts leave ties open, equal scores are
ordered by class, then by prior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.images.arrays import FloatArray

CENTRE_VARIANCE = 0.1
SIZE_VARIANCE = 0.2

_ROUNDING = 0.01
"""More than rounding can change a difference of logits near those of a threshold."""

_LOOKED_AT = 4
"""Scores that Fast NMS looks at first, in multiples of the detections that are wanted."""


class Survivors(NamedTuple):
    """The detections that NMS keeps, best first: aligned arrays of length D."""

    prior_indices: NDArray[np.intp]
    class_ids: NDArray[np.int32]
    scores: FloatArray


def decode_boxes(locations: FloatArray, priors: FloatArray) -> FloatArray:
    """Boxes (N, 4) float32 xyxy relative to the network input, not clamped.

    Args:
        locations: (N, 4) float32, encoded offsets.
        priors: (N, 4) float32 cxcywh relative to the network input.

    Source: official layers/box_utils.py `decode`.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the values of priors without a detection may overflow
        centres = priors[:, :2] + locations[:, :2] * np.float32(CENTRE_VARIANCE) * priors[:, 2:]
        sizes = priors[:, 2:] * np.exp(locations[:, 2:] * np.float32(SIZE_VARIANCE))
        top_left = centres - sizes / 2
        return np.concatenate([top_left, top_left + sizes], axis=1)


def class_probabilities(confidences: FloatArray) -> FloatArray:
    """Softmax over background and classes of logits (N, C+1); returns the classes' (N, C) float32."""
    exponentials = np.exp(confidences - confidences.max(axis=1, keepdims=True))
    return exponentials[:, 1:] / exponentials.sum(axis=1, keepdims=True)


def find_candidates(confidences: FloatArray, threshold: float) -> NDArray[np.intp]:
    """Indices, ascending, of all priors with a class that may be more probable than the threshold, and of few others.

    No class is more probable than it is beside the background alone. That leaves out nearly all priors before there is
    any exponential to take.

    Args:
        confidences: (N, C+1) float32 logits, background first.
        threshold: in [0, 1].
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # thresholds of 0 and 1; rows with a NaN
        least = np.log(np.float64(threshold)) - np.log1p(-np.float64(threshold)) - _ROUNDING
        return np.flatnonzero(confidences[:, 1:].max(axis=1) - confidences[:, 0] > least)


def suppress(boxes: FloatArray, probabilities: FloatArray, image_size: int, config: PostprocessConfig) -> Survivors:
    """Run the configured NMS.

    Args:
        boxes: (N, 4) float32 xyxy relative to the network input.
        probabilities: (N, C) float32, background not included.
        image_size: side of the network input in pixels (traditional NMS measures in whole pixels).

    Source: official layers/functions/detection.py.
    """
    candidates = np.flatnonzero(probabilities.max(axis=1) > np.float32(config.score_threshold))
    boxes, probabilities = boxes[candidates], probabilities[candidates]
    if config.nms == "fast":
        kept = _fast(boxes, probabilities, config)
    elif config.nms == "cross-class":
        kept = _cross_class(boxes, probabilities, config)
    else:
        kept = _traditional(boxes * np.float32(image_size), probabilities, config)
    order = np.argsort(-kept.scores, kind="stable")[: config.max_detections]
    return Survivors(candidates[kept.prior_indices[order]], kept.class_ids[order], kept.scores[order])


def _iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union (...) of xyxy boxes (..., 4), each with the other one in its place; 0/0 is NaN as in the
    original."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
        intersection = np.prod(np.maximum(sides, 0), axis=-1)
        areas = (np.prod(some[..., 2:] - some[..., :2], axis=-1) for some in (boxes, others))
        return intersection / (sum(areas) - intersection)


def _fast(boxes: FloatArray, probabilities: FloatArray, config: PostprocessConfig) -> Survivors:
    """Fast NMS, for each class over all candidates, whatever their score in that class (paper section 3.3).

    Only better scores decide whether one is kept. So the scores of all classes are looked at together, best first, and
    no further than the detections that are wanted need.
    """
    scores = np.ascontiguousarray(probabilities.T).ravel()
    looked_at = _LOOKED_AT * config.max_detections
    while True:
        best = _best(scores, looked_at)
        class_ids, priors = np.divmod(best, max(1, len(boxes)))
        keep = _unsuppressed_in_classes(boxes[priors], class_ids, config)
        if len(best) == len(scores) or keep.sum() >= config.max_detections:
            return Survivors(priors[keep], class_ids[keep].astype(np.int32), scores[best[keep]])
        looked_at *= 4


def _best(scores: FloatArray, count: int) -> NDArray[np.intp]:
    """Indices of the best scores (N,), best first and equal ones in order: so many, and all that equal the last."""
    chosen = np.arange(len(scores))
    if count < len(scores):
        chosen = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def _unsuppressed_in_classes(
    boxes: FloatArray, class_ids: NDArray[np.intp], config: PostprocessConfig
) -> NDArray[np.bool_]:
    """(K,) bool: the boxes (K, 4) of classes (K,), sorted best first, that no better one of their class overlaps too
    much, out of the `top_k` of their class.

    A better box counts even where it is suppressed itself: that makes this NMS "fast" (paper section 3.3).
    """
    order = np.argsort(class_ids, kind="stable")
    first = np.searchsorted(class_ids[order], class_ids[order])
    ranks = np.arange(len(order)) - first  # in their class
    kept = ranks < config.top_k
    order, first, ranks = order[kept], first[kept], ranks[kept]
    # Each box with each better one of its class. `order` may have gaps after `top_k` of a class, `first` counts them.
    starts = np.searchsorted(np.flatnonzero(kept), first)
    worse = np.repeat(np.arange(len(order)), ranks)
    better = np.arange(len(worse)) - np.repeat(np.cumsum(ranks) - ranks - starts, ranks)
    allowed = _iou(boxes[order[better]], boxes[order[worse]]) <= np.float32(config.nms_threshold)
    result = np.zeros(len(boxes), np.bool_)
    result[order] = True
    result[order[worse[~allowed]]] = (
        False  # also where the IoU is NaN: the worse of two without area goes, as officially
    )
    return result


def _cross_class(boxes: FloatArray, probabilities: FloatArray, config: PostprocessConfig) -> Survivors:
    """Fast NMS over each candidate's best class, in which boxes of different classes suppress each other."""
    scores = probabilities.max(axis=1)
    order = np.argsort(-scores, kind="stable")[: config.top_k]
    order = order[_unsuppressed_in_classes(boxes[order], np.zeros_like(order), config)]
    return Survivors(order, probabilities[order].argmax(axis=1).astype(np.int32), scores[order])


def _traditional(pixel_boxes: FloatArray, probabilities: FloatArray, config: PostprocessConfig) -> Survivors:
    """Greedy NMS for each class above the score threshold, in whole pixels (official utils/cython_nms.pyx)."""
    found = []
    for class_id, scores in enumerate(probabilities.T):
        above = np.flatnonzero(scores > np.float32(config.score_threshold))
        kept = _greedy(pixel_boxes[above], scores[above], config.nms_threshold)
        # In index order, as the official code returns them, so that ties across classes fall the same way.
        found.append(Survivors(above[kept], np.full(len(kept), class_id, np.int32), scores[above[kept]]))
    return Survivors(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def _greedy(boxes: FloatArray, scores: FloatArray, threshold: float) -> NDArray[np.intp]:
    """Indices of the boxes that greedy NMS keeps, ascending. A pixel box from x1 to x2 is x2 - x1 + 1 wide."""
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    remaining = np.argsort(-scores, kind="stable")
    kept = []
    while len(remaining):
        best, remaining = remaining[0], remaining[1:]
        kept.append(best)
        top_left = np.maximum(boxes[best, :2], boxes[remaining, :2])
        bottom_right = np.minimum(boxes[best, 2:], boxes[remaining, 2:])
        intersection = np.clip(bottom_right - top_left + 1, 0, None).prod(axis=1)
        overlap = intersection / (areas[best] + areas[remaining] - intersection)
        remaining = remaining[overlap < np.float32(threshold)]
    return np.sort(np.array(kept, np.intp))
