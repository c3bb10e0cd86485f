"""The reference detections of a network, and the comparison of a detector with them.

The reference is PyTorch in float32 on the CPU, then the runtime's post-processing in NumPy. Detections are matched as
sets, since in half precision two with nearly the same score may change places. The masks are compared at the size of
the image, in the form in which the contender made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolact.diff.detection_diff import DetectionTotals, compare_detections
from yolact.diff.gates import Limits, detection_gates
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.images.arrays import BoolArray, FloatArray, Image
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.output_files import replacing
from yolact.training.models.model import Yolact
from yolact.training.models.torch_engine import TorchEngine

Prepare = Callable[[Sequence[Image]], np.ndarray]
"""A function from images to the network's input (N, S, S, 3) BGR from 0 to 255, on the CPU."""

ARRAYS = ("boxes", "scores", "class_ids", "mask_probabilities")

LIMITS = Limits(
    score_threshold=0.3,
    max_missed=0.05,
    max_spurious=0.05,
    max_score_difference=0.06,
    min_box_iou=0.98,
    min_mask_iou=0.97,
)
"""Limits of what may differ.

Rounding to fp16 on a CPU moved scores of the made-up weights by 0.02, median IoUs to 0.996 (boxes) and 0.988 (masks)
and 1 detection in 56 over the threshold of NMS; rounding to bf16 moved the masks to 0.94.
"""


@dataclass(frozen=True)
class Found:
    """The detections of a contender in one image, as far as `compare_detections` needs them.

    Attributes:
        boxes: (D, 4) float32 xyxy, pixels of the image, clamped to it.
        ranking_scores: (D,) float32.
        class_ids: (D,) integers.
        masks: for each the region of the image that it lies in, and the mask (h, w) bool inside it.
    """

    boxes: FloatArray
    ranking_scores: FloatArray
    class_ids: np.ndarray
    masks: Sequence[tuple[Region, BoolArray]]

    def __getitem__(self, index: int) -> Found:
        one = slice(index, index + 1)
        return Found(self.boxes[one], self.ranking_scores[one], self.class_ids[one], self.masks[one])

    def iter_masks(self) -> Iterator[tuple[Region, BoolArray]]:
        """Each mask with its region, as `Detections.iter_masks` gives them."""
        return iter(self.masks)


def reference_detections(
    model: Yolact, config: PostprocessConfig, images: Sequence[Image], prepare: Prepare, cache: Path
) -> list[Detections]:
    """The detections of each image by a network in float32 on the CPU.

    Args:
        model, config: the network and its post-processing.
        images: of any sizes.
        prepare: makes the network's input in the way of the contender that is checked, since made-up weights magnify
            differences of pixels.
        cache: a file that keeps the detections for the next call with the same arguments.
    """
    if not cache.is_file():
        engine = TorchEngine(model, config)
        found = [in_image(engine.detect(prepare([image]))[0], image.shape[:2]) for image in images]
        arrays = {f"{name} {i}": getattr(one, name) for i, one in enumerate(found) for name in ARRAYS}
        with replacing(cache) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
    with np.load(cache) as arrays:
        return [
            Detections(
                **{name: arrays[f"{name} {i}"] for name in ARRAYS},
                mask_scores=None,
                transform=ImageTransform(image.shape[:2]),
            )
            for i, image in enumerate(images)
        ]


def differences(found: Sequence[Found], expected: Sequence[Detections]) -> tuple[DetectionTotals, str]:
    """Totals over the images, and a sentence with those beyond the LIMITS, empty if there are none."""
    totals = DetectionTotals.of(
        compare_detections(one, other, LIMITS.score_threshold, LIMITS.max_score_difference)
        for one, other in zip(found, expected, strict=True)
    )
    if not totals.matched:
        return totals, f"none of the {totals.missed} expected detections was found"
    return totals, "; ".join(str(gate) for gate in detection_gates(totals, LIMITS) if not gate.passed)
