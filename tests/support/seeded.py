"""Networks with lively made-up weights, the same each time."""

from __future__ import annotations

import torch

from yolact.runtime.config import ModelConfig
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict


def seeded(config: ModelConfig) -> Yolact:
    """In evaluation mode; the background scores so low that there are detections."""
    with torch.device("meta"):
        model = Yolact(config)
    model.load_state_dict(seeded_state_dict(config, background_bias=7.0), assign=True)
    return model.eval()
