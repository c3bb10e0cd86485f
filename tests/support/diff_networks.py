"""A small network for comparisons, its exported forms, and damage to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict

CONFIG = ModelConfig("small", "mobilenet_v2", 128, ("person", "dog", "kite"), fpn_channels=32)
POSTPROCESS = PostprocessConfig(max_detections=20)


def lively_state(config: ModelConfig = CONFIG) -> dict[str, Tensor]:
    """Made-up weights with which also a narrow network is sure of some detections."""
    state = seeded_state_dict(config, seed=2, background_bias=9.0)
    state["prediction_layers.0.conf_layer.weight"] = 8 * state["prediction_layers.0.conf_layer.weight"]
    return state


def network(config: ModelConfig = CONFIG) -> Yolact:
    """In evaluation mode."""
    with torch.device("meta"):
        model = Yolact(config)
    model.load_state_dict(lively_state(config), assign=True)
    return model.eval()


def export(
    path: Path, config: ModelConfig = CONFIG, postprocess: PostprocessConfig = POSTPROCESS, **options: Any
) -> Path:
    """`options` are those of `export_model`."""
    onnx.save(export_model(network(config), postprocess, weights_sha256="", **options), path)
    return path


def damage(source: Path, target: Path, module: str, factor: float = 0.5) -> Path:
    """The weights of one convolution are too small, as with a wrong scale."""
    proto = onnx.load(source)
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == f"{module}.weight")
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), weight.name))
    onnx.save(proto, target)
    return target
