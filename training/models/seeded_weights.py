"""Deterministic random weights that behave like a trained network, where no trained checkpoint is at hand.

Default initialisation yields a network whose scores are all alike. These weights give several hundred
candidates of many classes, overlapping boxes and varied masks, so demonstrations, tests and benchmarks do the
work a trained network would cause. They detect nothing meaningful.

The draws are those of NumPy's PCG64, whose stream is fixed: the same weights on every platform and version.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from yolact.runtime.config import ModelConfig
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact

Array = npt.NDArray[np.float64]

BACKGROUND_BIAS = {
    "yolact_base": 15.0,
    "yolact_resnet50": 14.0,
    "yolact_resnet50_pascal": 13.0,
    "yolact_darknet53": 15.5,
    "yolact_im400": 14.0,
    "yolact_im700": 16.0,
    "yolact_plus_base": 15.5,
    "yolact_plus_resnet50": 15.5,
}
"""Background logit per official configuration; leaves several hundred candidates scoring over 0.05."""

DEFAULT_BACKGROUND_BIAS = 12.0
"""Background logit for every other configuration; leaves about a hundred candidates of few classes or a small image."""


def seeded_state_dict(config: ModelConfig, seed: int = 1, background_bias: float | None = None) -> dict[str, Tensor]:
    """Weights for `Yolact(config)`, a pure function of the arguments.

    One uniform draw in [-1, 1) per value, tensors in the sorted order of their names, then shaped by kind:
    convolution filters have He variance and sum to zero, which keeps responses varied over the image; the
    last normalisation of every residual branch is small, which keeps activations bounded with depth.

    Args:
        config: the architecture.
        seed: another seed gives other weights.
        background_bias: added to the background logit; higher leaves fewer candidates. By default that of
            `BACKGROUND_BIAS` for an official configuration, `DEFAULT_BACKGROUND_BIAS` for any other.

    Returns:
        A complete state dict, float32 on the CPU (int64 zeros for BatchNorm's batch counters).
    """
    if background_bias is None:
        official = config == CONFIGS.get(config.name)
        background_bias = BACKGROUND_BIAS[config.name] if official else DEFAULT_BACKGROUND_BIAS
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Yolact(config).state_dict().items()}
    generator = np.random.Generator(np.random.PCG64(seed))
    state: dict[str, Tensor] = {}
    for name in sorted(shapes):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.int64)
            continue
        draws = generator.random(tuple(shapes[name])) * 2 - 1
        values = _values(name, draws)
        if name.endswith("conf_layer.bias"):
            values[:: config.num_classes + 1] += background_bias
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


def _values(name: str, draws: Array) -> Array:
    if name.endswith("running_mean"):
        return 0.2 * draws
    if name.endswith("running_var"):
        return 1 + 0.5 * draws
    if name.endswith("bias"):
        return _bias(name, draws)
    return _norm_weight(name, draws) if draws.ndim == 1 else _filters(name, draws)


def _bias(name: str, draws: Array) -> Array:
    values = 0.2 * draws
    if name.endswith("bbox_layer.bias"):
        # Wider and higher boxes overlap, so that NMS has something to suppress.
        values.reshape(-1, 4)[:, 2:] += 4
    return values


def _norm_weight(name: str, draws: Array) -> Array:
    ends_resnet_branch = name.endswith("bn3.weight")
    ends_darknet_branch = name.startswith("backbone.layers.") and name.endswith(".conv2.1.weight")
    ends_mobilenet_branch = name.startswith("backbone.layers.") and name.endswith(".conv.3.weight")
    return (1 + 0.5 * draws) * (0.25 if ends_resnet_branch or ends_darknet_branch or ends_mobilenet_branch else 1)


def _filters(name: str, draws: Array) -> Array:
    filters = draws.reshape(len(draws), -1) * math.sqrt(6 / math.prod(draws.shape[1:]))
    filters -= filters.mean(axis=1, keepdims=True)
    return (filters * _gain(name)).reshape(draws.shape)


def _gain(name: str) -> float:
    layer = name.removesuffix(".weight")
    if layer.endswith(("bbox_layer", "mask_layer")):
        return 0.4
    if layer.endswith("conv_offset_mask"):
        return 0.75
    # Inputs of Darknet-53 are only divided by 255, so its first layer has to make up for their small spread.
    return {"proto_net.10": 2.0, "backbone._preconv.0": 4.0}.get(layer, 1.0)
