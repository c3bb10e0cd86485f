"""The check that two forms of post-processing give the same detections, which precedes all timing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from benchmarks.torch_postprocess import Outputs

TOLERANCE = {torch.float32: 1e-4, torch.float16: 5e-3}
"""Largest difference of mask probabilities: in 16 bits PyTorch rounds the sums over prototypes, the kernels do not."""
EDGES = 1e-4
"""Share of an image's mask cells that may differ: a box that differs in its last bit can move an edge by a cell."""


class _Rows(NamedTuple):
    """The detections of one image, as NumPy arrays."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray


def differences(found: Outputs, expected: Outputs, tolerance: float) -> list[str]:
    """A sentence for each image whose detections differ; empty if none do.

    Detections with scores that are equal but for rounding may change places, and one may replace another at the end.
    """
    counts, others = (outputs.num_detections.flatten().tolist() for outputs in (found, expected))
    problems = []
    for image, (count, other) in enumerate(zip(counts, others, strict=True)):
        if count != other:
            problems.append(f"image {image}: expected {other} detections, got {count}")
            continue
        ours, theirs = (_Rows(*(array[image, :count].cpu().numpy() for array in o[1:])) for o in (found, expected))
        full = count == expected.scores.shape[1]
        if reason := _difference(ours, theirs, tolerance, full):
            problems.append(f"image {image}: {reason}")
        if any(bool(array[image, count:].any()) for array in found[1:]):
            problems.append(f"image {image}: expected zeros past the {count} detections, got others")
    return problems


def _difference(found: _Rows, expected: _Rows, tolerance: float, full: bool) -> str:
    if not len(expected.scores):
        return ""
    if not np.allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-7):
        return f"scores differ by {np.abs(found.scores - expected.scores).max():.2g}"
    same = np.isclose(found.boxes[:, None], expected.boxes[None], rtol=1e-4, atol=1e-5).all(2)
    same &= found.classes[:, None] == expected.classes
    same &= np.isclose(found.scores[:, None], expected.scores, rtol=1e-4, atol=1e-7)
    missing = ~same.any(0)
    last = expected.scores[-1] if full else 0  # a full image may lack a detection that ties with its last one
    lost = missing & ~np.isclose(expected.scores, last, rtol=1e-4, atol=0)
    if lost.any():
        row = int(np.flatnonzero(lost)[0])
        return (
            f"{lost.sum()} of {len(lost)} detections are not there, the first of them number {row}: "
            f"class {expected.classes[row]}, box {expected.boxes[row]}, score {expected.scores[row]:.6f}"
        )
    pairs = np.flatnonzero(~missing)
    apart = np.abs(found.masks[same.argmax(0)[pairs]] - expected.masks[pairs])
    wrong = ~(apart <= tolerance)  # so that NaN counts as wrong
    if wrong.sum() > EDGES * expected.masks.size:
        return f"{wrong.sum()} cells of the masks differ by more than {tolerance}, the most by {apart.max():.2g}"
    return ""
