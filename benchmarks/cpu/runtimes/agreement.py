"""The check that a contender's results agree with those of ONNX Runtime, with the same weights, before it is timed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cpu.runtimes.files import Files
from benchmarks.cpu.runtimes.workers import Failed
from yolact.diff.detection_diff import DetectionTotals, compare_detections
from yolact.export.comparison import MAX_HEAD_DIFFERENCE
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.engine import OnnxEngine

MOST_WITHOUT_PARTNER = 0.05
"""Largest share of detections without a partner.

PyTorch's pipeline does not round resized pixels to whole numbers, which decides which of two detections of nearly the
same score is the last of a full list.
"""

LEAST_MASK_IOU = 0.95
"""Least overlap of two masks of the same detection, in the median over the detections that both found."""

Agreement = dict[str, float | None]


class References:
    """The heads and detections of ONNX Runtime on a few photos, which every contender is compared with."""

    def __init__(self, files: Files, photos: list[Image]) -> None:
        preprocess = Preprocessor(files.metadata.config.image_size)
        engine = OnnxEngine(files.path("raw.onnx"))
        self._heads = [engine.run(preprocess([photo])) for photo in photos]
        engine.close()
        with Detector.open(files.path("full.onnx")) as detector:
            self._found = [detector(photo) for photo in photos]

    def check_heads(self, answers: list[list[NDArray[Any]]], *, rounded: bool) -> Agreement:
        """The largest difference of any head from ONNX Runtime's. Raises Failed where it is too large for float32."""
        pairs = zip(answers, self._heads, strict=True)
        largest = max(_largest(*arrays) for answer, heads in pairs for arrays in zip(answer, heads, strict=True))
        bound = MAX_HEAD_DIFFERENCE["fp32"]
        if not (rounded or largest <= bound):
            raise Failed(f"its heads differ from ONNX Runtime's by {largest:.3g}, more than {bound:g}")
        return {"largest_difference": largest}

    def check_end_to_end(self, answers: list[Detections], *, rounded: bool) -> Agreement:
        """How well detections agree with ONNX Runtime's, matched as sets.

        Raises Failed where too many detections have no partner, or masks differ too much.
        """
        diffs = [compare_detections(*pair, 0, 0) for pair in zip(answers, self._found, strict=True)]
        totals = DetectionTotals.of(diffs)
        share = max(totals.missed_share, totals.spurious_share)
        overlap = totals.median_mask_iou or 0.0
        if not rounded and share > MOST_WITHOUT_PARTNER:
            raise Failed(f"{share:.0%} of the detections differ from ours, more than {MOST_WITHOUT_PARTNER:.0%}")
        if not rounded and overlap < LEAST_MASK_IOU:
            raise Failed(f"its masks overlap ours by {overlap:.3f} in the median, less than {LEAST_MASK_IOU}")
        return {
            "detections": sum(map(len, answers)),
            "missed": totals.missed,
            "spurious": totals.spurious,
            "median_mask_iou": overlap,
        }


def _largest(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest absolute difference; infinity where shapes differ or a value is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max())
