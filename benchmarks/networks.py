"""The networks that benchmarks measure, since no trained one of official size is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict

if TYPE_CHECKING:
    import onnx

    from yolact.calib.qdq import Ranges
    from yolact.calib.quantization_points import Platform

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
(DEMO,) = _EXAMPLES.glob("yolact_demo_*.pth")
(NUCLEI,) = _EXAMPLES.glob("yolact_nuclei_*.pth")
"""The trained models that ship with the project: of machine parts in bins, and of nuclei under microscopes."""

NUCLEI_LIMITS = PostprocessConfig(top_k=1000, max_detections=400)
"""A photograph holds more nuclei than the 100 detections that are usual."""

MANY_CANDIDATES = 7.0
"""Background logit of an official configuration that leaves far more candidates than a trained network would."""


def seeded_model(config: ModelConfig, background_bias: float | None = None) -> Yolact:
    """A network with made-up but lively weights, in evaluation mode: see `seeded_state_dict`."""
    with torch.device("meta"):
        model = Yolact(config)
    model.load_state_dict(seeded_state_dict(config, background_bias=background_bias), assign=True)
    return model.eval()


def quantised(
    proto: onnx.ModelProto, ranges: Ranges, modules: tuple[str, ...], platform: Platform, exclude: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """A copy of an exported network in INT8, but for layers to exclude."""
    import onnx  # here, as the check on a GPU takes networks from this module and may lack it

    from yolact.calib.qdq import insert_qdq_pairs
    from yolact.calib.quantization_points import find_quantization_points

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    insert_qdq_pairs(copy, find_quantization_points(copy, modules, exclude, platform), ranges, platform)
    return copy
