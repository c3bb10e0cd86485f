"""The differences between an exported model's outputs and the expected ones, and the bounds on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import output_specs
from yolact.runtime.metadata import Precision
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.training.models.model import Yolact

Arithmetic = Precision | Literal["int8"]
"""The type that a network computes in; INT8 where at least a part of it does."""

MAX_HEAD_DIFFERENCE: dict[Arithmetic, float] = {"fp32": 5e-3, "fp16": 3.5e-2, "bf16": 2.7e-1, "int8": float("inf")}
"""fp32: largest absolute difference. Convolutions summed in another order differ by about 1e-4 on logits, a wrong graph
by far more. Half precision: root mean square of the difference relative to that of the head; the bounds are about three
times the differences of the official networks (docs/explanation/precision.md). INT8 has no such bound: its accuracy is
judged on annotated images."""

MAX_DETECTION_DIFFERENCE = 1e-3
MAX_MASK_DIFFERENCE: dict[Arithmetic, float] = {"fp32": 1e-3, "fp16": 9e-3, "bf16": 5e-2}
"""Largest absolute difference of mask probabilities and mask scores: the matrix product behind the former and the
re-scoring network behind the latter compute in the network's type."""

CONFIDENT_SCORE, SAME_OBJECT_IOU = 0.3, 0.5
"""Detections above this score should be found again in half precision, with boxes whose IoU is above this."""


_TINY = float(np.finfo(np.float32).tiny)
"""Replaces divisors that are zero."""


@dataclass(frozen=True)
class Difference:
    """How far one output of the exported model is from its reference, and how far it may be."""

    output: str
    largest: float
    bound: float

    @property
    def badness(self) -> float:
        """The largest difference, for ranking; a NaN counts as infinite, the worst."""
        return float("inf") if np.isnan(self.largest) else self.largest


def compare_head(name: str, found: NDArray[Any], expected: NDArray[Any], arithmetic: Arithmetic) -> Difference:
    """Compare one head (N, ...) with PyTorch's in float32: by the largest absolute difference in fp32, else by the root
    mean square relative to that of the expected values, since single values are far off where tanh is steep."""
    difference = _largest(found, expected)
    if arithmetic != "fp32" and np.isfinite(difference):
        difference = _rms(found - expected) / max(_rms(expected), _TINY)
    return Difference(name, difference, MAX_HEAD_DIFFERENCE[arithmetic])


def _rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def compare_detections(
    outputs: dict[str, NDArray[Any]], model: Yolact, config: PostprocessConfig, arithmetic: Arithmetic
) -> list[Difference]:
    """Compare the final outputs of one image, without batch dimension, with NumPy post-processing and PyTorch
    re-scoring of the heads among the same outputs."""
    heads = ImageHeads(*(outputs[name] for name in output_specs("raw", model.config, config)))
    expected = postprocess(heads, model.config, config)
    arrays = {"boxes": expected.boxes, "scores": expected.scores, "masks": expected.masks}
    bounds = dict.fromkeys(arrays, MAX_DETECTION_DIFFERENCE) | {"masks": MAX_MASK_DIFFERENCE[arithmetic]}
    if model.config.mask_rescoring:
        with torch.inference_mode():
            classes = torch.from_numpy(expected.class_ids).long()
            fit = model.predict_mask_iou(torch.from_numpy(expected.masks), classes)
        arrays["mask_scores"] = expected.scores * fit.numpy()
        bounds["mask_scores"] = MAX_MASK_DIFFERENCE[arithmetic]
    count = int(outputs["num_detections"].item())
    ours, theirs = _match(expected, outputs["boxes"][:count], outputs["classes"][:count])
    past_count = [np.abs(outputs[name][count:]).max(initial=0) for name in (*arrays, "classes")]
    ascents = np.diff(outputs["scores"][:count]).max(initial=0)
    return [
        Difference("num_detections", abs(count - len(expected.scores)), 0),
        Difference("classes", max(len(expected.scores), count) - len(ours), 0),
        Difference("order, padding", float(max(ascents, *past_count)), 0),
        *(
            Difference(name, _largest(outputs[name][ours], array[theirs]), bounds[name])
            for name, array in arrays.items()
        ),
    ]


def _match(expected: NetworkDetections, boxes: NDArray[Any], classes: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Pairs of found and expected detections: same class, nearest box, each once. Equal scores may change places."""
    ours: list[int] = []
    theirs: list[int] = []
    for index, (class_id, box) in enumerate(zip(expected.class_ids, expected.boxes, strict=True)):
        distance = np.where(classes == class_id, np.abs(boxes - box).max(axis=1, initial=0), np.inf)
        distance[ours] = np.inf
        if len(distance) and np.isfinite(distance.min()):
            ours.append(int(distance.argmin()))
            theirs.append(index)
    return ours, theirs


def _largest(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest absolute difference; NaN where any value is not finite, infinity where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))


def count_found_again(found: NetworkDetections, expected: NetworkDetections) -> tuple[int, int]:
    """How many of the expected detections with a confident score are among the found ones, and how many there are."""
    confident = expected.scores > CONFIDENT_SCORE
    free = np.ones(len(found.scores), np.bool_)
    for box, class_id in zip(expected.boxes[confident], expected.class_ids[confident], strict=True):
        iou = np.where(free & (found.class_ids == class_id), _iou(box, found.boxes), 0)
        if len(iou) and iou.max() > SAME_OBJECT_IOU:
            free[iou.argmax()] = False
    return int((~free).sum()), int(confident.sum())


def _iou(box: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """(D,) overlap of a box (4,) with boxes (D, 4), both xyxy."""
    sides = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0)
    shared = sides.prod(axis=1)
    areas = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return shared / np.maximum(areas, _TINY)
