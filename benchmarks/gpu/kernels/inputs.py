"""Inputs of the CUDA kernels at the sizes of YOLACT-ResNet50 at 550, and the fewest bytes each step can move."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_postprocess import Heads, Outputs
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.models.configs import get_config

CONFIG = PostprocessConfig()
MODEL = get_config("yolact_resnet50")
CLASSES, COEFFICIENTS, GRID = MODEL.num_classes, MODEL.num_coefficients, MODEL.prototype_size
OBJECTS = 40
CANDIDATES = (300, 1500)
BACKGROUND = 12.0
RATIO, STEPS = 2.1, 14

CASES = {
    "realistic": f"{CANDIDATES[0]} to {CANDIDATES[1]} candidates in an image, around {OBJECTS} objects",
    "worst": "every prior a candidate, every box covers the image",
}


def make_heads(case: str, batch: int, dtype: torch.dtype, device: str, seed: int = 0) -> Heads:
    """The heads of a batch for one of the CASES, on the device."""
    rng = np.random.default_rng(seed)
    priors = make_priors(MODEL)
    make = {"realistic": _realistic, "worst": _worst}[case]
    locations, confidences = (
        np.stack(arrays) for arrays in zip(*(make(rng, priors) for _ in range(batch)), strict=True)
    )
    arrays = {
        "locations": locations,
        "confidences": confidences,
        "coefficients": rng.uniform(-1, 1, (batch, len(priors), COEFFICIENTS)),
        "prototypes": rng.gamma(1, 1, (batch, COEFFICIENTS, GRID, GRID)),  # come out of a ReLU and are mostly small
    }
    tensors = {name: torch.from_numpy(array).to(device, dtype) for name, array in arrays.items()}
    return Heads(priors=torch.from_numpy(np.array(priors)).to(device), **tensors)


def _realistic(rng: np.random.Generator, priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Locations and confidences of one image in which the priors nearest to each object roughly predict it."""
    locations = rng.normal(0, 0.5, (len(priors), 4))
    confidences = rng.normal(0, 1, (len(priors), CLASSES + 1))
    confidences[:, 0] += BACKGROUND
    each = rng.integers(*CANDIDATES, endpoint=True) // OBJECTS
    _, sizes, counts = np.unique(priors[:, 2], return_inverse=True, return_counts=True)
    evenly = 1 / counts[sizes] / len(counts)  # each size of prior is drawn as often, though most priors are small
    for target in priors[rng.choice(len(priors), OBJECTS, replace=False, p=evenly)]:
        near = np.argpartition(np.square(priors - target).sum(1), each)[:each]
        box = target * rng.normal(1, 0.04, (each, 4))
        locations[near] = _encode(box, priors[near])
        confidences[near, 0] = rng.normal(2, 1, each)
        confidences[near, rng.integers(1, CLASSES + 1)] = rng.normal(6, 1.5, each)
    return locations, confidences


def _worst(rng: np.random.Generator, priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Locations and confidences of one image in which NMS keeps most of the best boxes.

    The boxes are larger than the image, and their sizes differ so much that they do not suppress each other.
    """
    sides = 1.1 * RATIO ** rng.integers(0, STEPS, (len(priors), 2))
    boxes = np.concatenate([np.full((len(priors), 2), 0.5), sides], axis=1)
    confidences = rng.normal(0, 2, (len(priors), CLASSES + 1))
    confidences[:, 0] = -8
    confidences[np.arange(len(priors)), rng.integers(1, CLASSES + 1, len(priors))] += 4
    return _encode(boxes, priors), confidences


def _encode(boxes: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The locations that decode to boxes (N, 4) cxcywh."""
    centres = (boxes[:, :2] - priors[:, :2]) / (0.1 * priors[:, 2:])
    return np.concatenate([centres, np.log(boxes[:, 2:] / priors[:, 2:]) / 0.2], axis=1)


def count_candidates(heads: Heads) -> list[int]:
    """The number of candidates in each image."""
    best = heads.confidences.softmax(-1, dtype=torch.float32)[..., 1:].amax(-1)
    return (best > CONFIG.score_threshold).sum(1).tolist()


def make_image(height: int, width: int, device: str) -> Tensor:
    """An image (H, W, 3) uint8 BGR of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return torch.from_numpy(pixels).to(device)


def nms_bytes(heads: Heads, found: Outputs) -> int:
    """The fewest bytes that Fast NMS moves.

    These are all logits, the locations and priors of candidates, the coefficients of detections, and the outputs.
    """
    batch, size = len(heads.confidences), heads.confidences.element_size()
    candidates, detections = sum(count_candidates(heads)), int(found.num_detections.sum())
    read = heads.confidences.nbytes + candidates * 4 * (size + 4) + detections * COEFFICIENTS * size
    return read + _detection_bytes(batch, size)


def mask_bytes(heads: Heads) -> int:
    """The fewest bytes that mask assembly moves: prototypes, boxes, counts and coefficients of detections, masks."""
    batch = len(heads.prototypes)
    rows = batch * CONFIG.max_detections
    inputs = heads.prototypes.nbytes + rows * (COEFFICIENTS * heads.prototypes.element_size() + 16) + batch * 4
    return inputs + rows * GRID * GRID * 4


def both_bytes(heads: Heads, found: Outputs) -> int:
    """The fewest bytes that both kernels move, if the second does not read the results of the first from memory."""
    batch, size = len(heads.prototypes), heads.prototypes.element_size()
    masks = batch * CONFIG.max_detections * GRID * GRID * 4
    return (
        nms_bytes(heads, found) + heads.prototypes.nbytes + masks - batch * CONFIG.max_detections * COEFFICIENTS * size
    )


def _detection_bytes(batch: int, size: int) -> int:
    """Bytes of the counts, boxes, scores, classes and coefficients of all rows."""
    return batch * (4 + CONFIG.max_detections * (16 + 4 + 4 + COEFFICIENTS * size))


def resize_bytes(height: int, width: int, size: int) -> int:
    """The fewest bytes that resizing moves.

    These are the pixels that bilinear interpolation reads, at most four for each pixel of the result, and the result.
    """
    return min(height * width, 4 * size * size) * 3 + size * size * 3
