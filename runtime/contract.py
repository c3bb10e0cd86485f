"""The tensors every engine file has, whatever runtime it is for: one table that exporter and runtimes share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.metadata import Graph
from yolact.runtime.wording import count_noun

INPUT_NAME = "images"

HEADS = ("locations", "confidences", "coefficients", "prototypes")
"""The network's own outputs: the outputs of a raw graph, and tensors inside a full one."""

DETECTION_COEFFICIENTS = "detection_coefficients"
"""A tensor inside every full graph: the coefficients of each detection, which its mask is assembled from."""

PLUGIN_NAMESPACE, PLUGIN_VERSION = "yolact", "1"
"""The plugins register with TensorRT under this namespace and version. The namespace is also the ONNX domain of the two
functions that the plugins stand for."""


class TensorSpec(NamedTuple):
    """Data type of a tensor, and its shape without the batch dimension, which comes first."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]


def input_spec(model: ModelConfig) -> TensorSpec:
    """`images`: (S, S, 3) uint8 BGR."""
    return _spec(np.uint8, model.image_size, model.image_size, 3)


def output_specs(graph: Graph, model: ModelConfig, postprocess: PostprocessConfig) -> dict[str, TensorSpec]:
    """The outputs of an engine file by name, in the order of the contract (docs/design.md)."""
    grid = (model.prototype_size, model.prototype_size)
    if graph == "raw":
        shapes = (
            (model.num_priors, 4),
            (model.num_priors, model.num_classes + 1),
            (model.num_priors, model.num_coefficients),
            (model.num_coefficients, *grid),
        )
        return {name: _spec(np.float32, *shape) for name, shape in zip(HEADS, shapes, strict=True)}
    detections = postprocess.max_detections
    specs = {
        "num_detections": _spec(np.int32, 1),
        "boxes": _spec(np.float32, detections, 4),
        "scores": _spec(np.float32, detections),
        "classes": _spec(np.int32, detections),
        "masks": _spec(np.float32, detections, *grid),
    }
    if model.mask_rescoring:
        specs["mask_scores"] = _spec(np.float32, detections)
    return specs


def contradiction(name: str, shape: tuple[int, ...], model: ModelConfig, postprocess: PostprocessConfig) -> str:
    """Compare a number in the metadata with the network, whose tensor `name` has this shape (without batch).

    Returns the beginning of a sentence about the difference; empty where there is none, or no such number.
    """
    numbers = {
        INPUT_NAME: (0, 0, model.image_size, "pixel"),
        "locations": (0, 0, model.num_priors, "prior"),
        "confidences": (1, 1, model.num_classes, "class"),
        "coefficients": (1, 0, model.num_coefficients, "coefficient"),
        "prototypes": (0, 0, model.num_coefficients, "prototype"),
        "boxes": (0, 0, postprocess.max_detections, "detection"),
    }
    if name not in numbers:
        return ""
    axis, more, said, noun = numbers[name]
    size = shape[axis] if len(shape) > axis else None
    got = size - more if isinstance(size, int) and size > more else said  # dimensions that stay open have names, or -1
    return "" if got == said else f"the metadata say {count_noun(said, noun)}, the network has {got}; "


def _spec(dtype: DTypeLike, *shape: int) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape)
