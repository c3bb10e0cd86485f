"""Calls of the two ops as ONNX files have them: good ones, and ones that a plugin must refuse to build."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ml_dtypes import bfloat16
from plugin_harness import Spec

from yolact.export.functions import FAST_NMS, MASK_ASSEMBLY, MASK_ASSEMBLY_ATTRIBUTES, fast_nms_attributes
from yolact.runtime.config import PostprocessConfig

Attributes = dict[str, Any]
Inputs = dict[str, Spec]

OUTPUTS = {
    FAST_NMS: ("num_detections", "boxes", "scores", "classes", "detection_coefficients"),
    MASK_ASSEMBLY: ("masks",),
}
ATTRIBUTES: dict[str, Attributes] = {
    FAST_NMS: fast_nms_attributes(PostprocessConfig(max_detections=20)),
    MASK_ASSEMBLY: MASK_ASSEMBLY_ATTRIBUTES,
}


def inputs_of(op: str, dtype: Any = np.float32) -> Inputs:
    """100 priors, 3 classes, 8 coefficients, 20 detections, a grid of 12 x 14; the batch is open."""
    network = np.dtype(dtype)
    real, integer = np.dtype(np.float32), np.dtype(np.int32)
    if op == FAST_NMS:
        return {
            "locations": Spec(network, (-1, 100, 4)),
            "confidences": Spec(network, (-1, 100, 4)),
            "coefficients": Spec(network, (-1, 100, 8)),
            "priors": Spec(real, (100, 4)),
        }
    return {
        "prototypes": Spec(network, (-1, 8, 12, 14)),
        "detection_coefficients": Spec(network, (-1, 20, 8)),
        "boxes": Spec(real, (-1, 20, 4)),
        "num_detections": Spec(integer, (-1, 1)),
    }


class Refusal(NamedTuple):
    """What is changed in a good call, and how the sentence about it goes (a regular expression)."""

    op: str
    attributes: Attributes
    inputs: dict[str, tuple[int, ...] | type]
    sentence: str
    call: str = ""
    """Of TensorRT's, that refuses."""


_TYPES = _SHAPES = "getOutputDataTypes or getOutputShapes"

REFUSED = {
    "no threshold": Refusal(FAST_NMS, {"nms_threshold": None}, {}, "the attribute nms_threshold is missing"),
    "threshold as integer": Refusal(
        FAST_NMS, {"nms_threshold": 1}, {}, "the attribute nms_threshold should be a float, but is an integer"
    ),
    "count as float": Refusal(FAST_NMS, {"top_k": 5.0}, {}, "the attribute top_k should be an integer, but is a float"),
    "threshold above 1": Refusal(FAST_NMS, {"score_threshold": 1.5}, {}, "score_threshold must be 0 to 1, got 1.5"),
    "threshold below 0": Refusal(FAST_NMS, {"nms_threshold": -0.5}, {}, "nms_threshold must be 0 to 1, got -0.5"),
    "not a number": Refusal(FAST_NMS, {"centre_variance": np.nan}, {}, "centre_variance must be .*, got -?nan"),
    "top-k above the limit": Refusal(FAST_NMS, {"top_k": 1025}, {}, "top_k must be 1 to 1024, got 1025"),
    "no detections": Refusal(FAST_NMS, {"max_detections": 0}, {}, "max_detections must be 1 to 1024, got 0"),
    "three values": Refusal(FAST_NMS, {"top_k": [1, 2, 3]}, {}, "the attribute top_k should be one number, but is 3"),
    "third kind of NMS": Refusal(FAST_NMS, {"cross_class": 2}, {}, "cross_class must be 0 to 1, got 2"),
    "no padding": Refusal(MASK_ASSEMBLY, {"crop_padding": None}, {}, "the attribute crop_padding is missing"),
    "padding as float": Refusal(
        MASK_ASSEMBLY, {"crop_padding": 1.0}, {}, "crop_padding should be an integer, but is a float"
    ),
    "negative padding": Refusal(MASK_ASSEMBLY, {"crop_padding": -1}, {}, "crop_padding must be 0 to .*, got -1"),
    "flat locations": Refusal(
        FAST_NMS,
        {},
        {"locations": (-1, 400)},
        r"locations should have the shape \(B, P, 4\), but has 2 dimensions",
        _SHAPES,
    ),
    "five offsets": Refusal(
        FAST_NMS,
        {},
        {"locations": (-1, 100, 5)},
        r"dimension 2 of locations \(B, P, 4\) should be 4, but is 5",
        _SHAPES,
    ),
    "other confidences": Refusal(
        FAST_NMS,
        {},
        {"confidences": (-1, 99, 4)},
        r"1 of confidences \(B, P, L\) is 99, but P is 100 in locations",
        _SHAPES,
    ),
    "other priors": Refusal(
        FAST_NMS, {}, {"priors": (101, 4)}, r"0 of priors \(P, 4\) is 101, but P is 100 in locations", _SHAPES
    ),
    "only background": Refusal(
        FAST_NMS, {}, {"confidences": (-1, 100, 1)}, "classes must be 1 to 4096, got 0", _SHAPES
    ),
    "many classes": Refusal(
        FAST_NMS, {}, {"confidences": (-1, 100, 5000)}, "classes must be 1 to 4096, got 4999", _SHAPES
    ),
    "open priors": Refusal(
        FAST_NMS, {}, {"locations": (-1, -1, 4)}, r"1 of locations \(B, P, 4\) is open; only the batch may be", _SHAPES
    ),
    "priors in FP16": Refusal(FAST_NMS, {}, {"priors": np.float16}, "priors should be FP32, but is FP16", _TYPES),
    "mixed types": Refusal(
        FAST_NMS,
        {},
        {"coefficients": np.float16},
        "coefficients should be .*, the same as the op's first input, but is FP16",
        _TYPES,
    ),
    "integers": Refusal(
        MASK_ASSEMBLY,
        {},
        {"prototypes": np.int32, "detection_coefficients": np.int32},
        "prototypes should be FP32, FP16 or BF16, .*, but is INT32",
        _TYPES,
    ),
    "float count": Refusal(MASK_ASSEMBLY, {}, {"num_detections": np.float32}, "num_detections should be INT32", _TYPES),
    "boxes in BF16": Refusal(MASK_ASSEMBLY, {}, {"boxes": bfloat16}, "boxes should be FP32, but is BF16", _TYPES),
    "other coefficients": Refusal(
        MASK_ASSEMBLY,
        {},
        {"detection_coefficients": (-1, 20, 9)},
        r"2 of detection_coefficients \(B, D, K\) is 9, but K is 8 in prototypes",
        _SHAPES,
    ),
    "other detections": Refusal(
        MASK_ASSEMBLY, {}, {"boxes": (-1, 21, 4)}, "is 21, but D is 20 in detection_coefficients", _SHAPES
    ),
    "many coefficients": Refusal(
        MASK_ASSEMBLY,
        {},
        {"prototypes": (-1, 257, 12, 14), "detection_coefficients": (-1, 20, 257)},
        "coefficients must be 1 to 256, got 257",
        _SHAPES,
    ),
    "two counts": Refusal(
        MASK_ASSEMBLY, {}, {"num_detections": (-1, 2)}, r"1 of num_detections \(B, 1\) should be 1, but is 2", _SHAPES
    ),
    "scalar count": Refusal(
        MASK_ASSEMBLY,
        {},
        {"num_detections": (-1,)},
        r"num_detections should have the shape \(B, 1\), but has 1",
        _SHAPES,
    ),
}


def changed(refusal: Refusal) -> tuple[Attributes, Inputs]:
    """The attributes and inputs of the call that is to be refused."""
    attributes = {**ATTRIBUTES[refusal.op], **refusal.attributes}
    inputs = inputs_of(refusal.op)
    for name, change in refusal.inputs.items():
        spec = inputs[name]
        inputs[name] = (
            spec._replace(shape=change) if isinstance(change, tuple) else spec._replace(dtype=np.dtype(change))
        )
    return {name: value for name, value in attributes.items() if value is not None}, inputs
