"""Explanations of made-up and of real networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from seeded import seeded_weights

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.postprocess.mask_assembly import assemble_masks
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.training.explain.explanation import Explanation

LIMITS = PostprocessConfig(max_detections=20)


def write_checkpoint(config: ModelConfig, folder: Path) -> Path:
    """The network of `export_seeded` as training saves it."""
    path = folder / f"{config.name}_0_1.pth"
    torch.save(seeded_weights(config), path)
    path.with_suffix(".json").write_text(json.dumps(config.to_json()))
    return path


def make_explanation(count: int = 4, prototypes: int = 9, mask_scores: bool = False, seed: int = 0) -> Explanation:
    """Random prototypes on a grid that is not square, boxes that reach beyond the borders; the last lies outside."""
    generator = np.random.default_rng(seed)
    grids = np.maximum(0, generator.normal(size=(prototypes, 20, 30))).astype(np.float32)
    coefficients = np.tanh(generator.normal(size=(count, prototypes))).astype(np.float32)
    boxes = np.sort(generator.uniform(-0.3, 1.3, (count, 2, 2)), axis=1).reshape(count, 4).astype(np.float32)
    boxes[-1:] = (1.5, 1.5, 1.8, 1.9)
    scores = generator.random(count).astype(np.float32)
    found = NetworkDetections(
        boxes,
        scores,
        generator.integers(0, 3, count).astype(np.int32),
        assemble_masks(grids, coefficients, boxes),
        scores * generator.uniform(0, 1.6, count).astype(np.float32) if mask_scores else None,
    )
    return Explanation(grids, coefficients, found)
