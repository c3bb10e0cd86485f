"""The networks that benchmarks measure, where no trained one of official size is at hand."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from yolact.calib.qdq import Ranges, insert_qdq_pairs
from yolact.calib.quantization_points import Platform, find_quantization_points
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict

DEMO = Path(__file__).resolve().parents[1] / "examples" / "yolact_demo_0_3100.pth"

MANY_CANDIDATES = 7.0
"""Background logit of an official configuration that leaves far more candidates than a trained network would."""


def seeded_model(name: str, background_bias: float | None = None) -> Yolact:
    """A configuration with made-up but lively weights: see `seeded_state_dict`."""
    with torch.device("meta"):
        model = Yolact(CONFIGS[name])
    model.load_state_dict(seeded_state_dict(CONFIGS[name], background_bias=background_bias), assign=True)
    return model.eval()


def quantised(proto: onnx.ModelProto, ranges: Ranges, modules: tuple[str, ...], platform: Platform) -> onnx.ModelProto:
    """A copy in INT8."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    insert_qdq_pairs(copy, find_quantization_points(copy, modules, (), platform), ranges, platform)
    return copy
