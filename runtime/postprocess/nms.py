"""Box decoding and the three kinds of NMS of the official code, for one image, in NumPy.

This is the oracle of the ONNX functions and of the CUDA kernels: plain and exact before fast. Where the official sorts
leave ties open, equal scores are ordered by class, then by prior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.images.arrays import FloatArray

CENTRE_VARIANCE = 0.1
SIZE_VARIANCE = 0.2


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


def box_iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union (..., N, M) of xyxy boxes (..., N, 4) and (..., M, 4); 0/0 is NaN as in the original."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        top_left = np.maximum(boxes[..., :, None, :2], others[..., None, :, :2])
        bottom_right = np.minimum(boxes[..., :, None, 2:], others[..., None, :, 2:])
        intersection = np.clip(bottom_right - top_left, 0, None).prod(axis=-1)
        area = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
        other_area = (others[..., 2:] - others[..., :2]).prod(axis=-1)
        return intersection / (area[..., :, None] + other_area[..., None, :] - intersection)


def _unsuppressed(boxes: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """(..., K) bool: the boxes (..., K, 4), sorted best first, that no better box overlaps too much.

    A better box counts even where it is suppressed itself: that makes this NMS "fast" (paper section 3.3).

    A pair of boxes without area has IoU NaN, which is not <= threshold: the worse one goes (official behaviour).
    """
    allowed = box_iou(boxes, boxes) <= np.float32(threshold)
    count = boxes.shape[-2]
    pairs = np.triu(np.ones((count, count), np.bool_), k=1)  # row i is better than column j
    return np.all(allowed | ~pairs, axis=-2)


def _fast(boxes: FloatArray, probabilities: FloatArray, config: PostprocessConfig) -> Survivors:
    """Fast NMS, for each class over all candidates, whatever their score in that class (paper section 3.3)."""
    order = np.argsort(-probabilities.T, axis=1, kind="stable")[:, : config.top_k]
    keep = _unsuppressed(boxes[order], config.nms_threshold)
    class_ids, ranks = np.nonzero(keep)
    priors = order[class_ids, ranks]
    return Survivors(priors, class_ids.astype(np.int32), probabilities[priors, class_ids])


def _cross_class(boxes: FloatArray, probabilities: FloatArray, config: PostprocessConfig) -> Survivors:
    """Fast NMS over each candidate's best class, in which boxes of different classes suppress each other."""
    scores = probabilities.max(axis=1)
    order = np.argsort(-scores, kind="stable")[: config.top_k]
    order = order[_unsuppressed(boxes[order], config.nms_threshold)]
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
