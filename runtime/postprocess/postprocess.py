"""The network's detections in one image, and the post-processing that makes them from raw heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.images.arrays import FloatArray
from yolact.runtime.postprocess.mask_assembly import assemble_masks
from yolact.runtime.postprocess.nms import class_probabilities, decode_boxes, find_candidates, suppress
from yolact.runtime.postprocess.priors import make_priors


@dataclass(frozen=True)
class ImageHeads:
    """Outputs of the network's heads for one image, float32.

    Attributes:
        locations: (N, 4) encoded boxes.
        confidences: (N, C+1) logits, background first.
        coefficients: (N, K), after tanh.
        prototypes: (K, Hp, Wp), after ReLU.
    """

    locations: FloatArray
    confidences: FloatArray
    coefficients: FloatArray
    prototypes: FloatArray


@dataclass(frozen=True)
class NetworkDetections:
    """Detections of one image in the frame of the network, best first.

    Attributes:
        boxes: (D, 4) float32 xyxy relative to the network input, not clamped.
        scores: (D,) float32.
        class_ids: (D,) int32.
        masks: (D, Hp, Wp) float32 probabilities, 0 outside the boxes.
        mask_scores: (D,) float32 for YOLACT++, else None.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: NDArray[np.int32]
    masks: FloatArray
    mask_scores: FloatArray | None = None

    def __getitem__(self, index: NDArray[np.intp] | slice) -> NetworkDetections:
        """The detections at several indices, or in a slice."""
        scores = None if self.mask_scores is None else self.mask_scores[index]
        return NetworkDetections(
            self.boxes[index], self.scores[index], self.class_ids[index], self.masks[index], scores
        )

    def copy(self) -> NetworkDetections:
        """The same in memory of its own."""
        scores = None if self.mask_scores is None else self.mask_scores.copy()
        return NetworkDetections(
            self.boxes.copy(), self.scores.copy(), self.class_ids.copy(), self.masks.copy(), scores
        )


def postprocess(heads: ImageHeads, model: ModelConfig, config: PostprocessConfig) -> NetworkDetections:
    """Decode, suppress and assemble: the NumPy counterpart of a full graph's last part.

    `mask_scores` stay None: the re-scoring network of YOLACT++ is part of full graphs only.
    """
    return postprocess_with_coefficients(heads, model, config)[0]


def postprocess_with_coefficients(
    heads: ImageHeads, model: ModelConfig, config: PostprocessConfig
) -> tuple[NetworkDetections, FloatArray]:
    """The result of `postprocess`, and the coefficients (D, K) float32 that the masks were assembled with."""
    candidates = find_candidates(heads.confidences, config.score_threshold)
    boxes = decode_boxes(heads.locations[candidates], make_priors(model)[candidates])
    survivors = suppress(boxes, class_probabilities(heads.confidences[candidates]), model.image_size, config)
    kept_boxes = boxes[survivors.prior_indices]
    coefficients = heads.coefficients[candidates[survivors.prior_indices]]
    masks = assemble_masks(heads.prototypes, coefficients, kept_boxes)
    return NetworkDetections(kept_boxes, survivors.scores, survivors.class_ids, masks), coefficients
