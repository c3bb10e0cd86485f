"""Anchor boxes ("priors") of a configuration, computed, never stored as literals."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from yolact.runtime.config import ModelConfig
from yolact.runtime.images.arrays import FloatArray


@lru_cache(maxsize=8)
def make_priors(config: ModelConfig) -> FloatArray:
    """Priors (N, 4) float32, cxcywh relative to the network input; read-only.

    Order: level P3..P7, row, column, scale, ratio: that of the heads' outputs. Computed in double as the official
    code does (yolact.py `PredictionModule.make_priors`); the ratio enters as its square root.
    """
    ratios = np.sqrt(np.array(config.aspect_ratios))
    levels = []
    for size, scales in zip(config.level_sizes, config.scales, strict=True):
        widths = (np.array(scales)[:, None] * ratios).ravel() / config.image_size
        tall = (np.array(scales)[:, None] / ratios).ravel() / config.image_size
        heights = widths if config.square_anchors else tall
        centres = (np.arange(size) + 0.5) / size
        level = np.empty((size, size, len(widths), 4))
        level[..., 0] = centres[None, :, None]
        level[..., 1] = centres[:, None, None]
        level[..., 2] = widths
        level[..., 3] = heights
        levels.append(level.reshape(-1, 4))
    priors = np.concatenate(levels).astype(np.float32)
    priors.flags.writeable = False
    return priors
