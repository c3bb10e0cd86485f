"""A small network of which one layer can be made sensitive to rounding."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from yolact.runtime.config import ModelConfig, PostprocessConfig

SMALL = ModelConfig("small", "mobilenet_v2", 96, ("a", "b", "c"), fpn_channels=64)


LIMITS = PostprocessConfig(max_detections=20)


def make_sensitive(proto: onnx.ModelProto, factor: float = 1000) -> onnx.ModelProto:
    """The same network, but a channel of Protonet's first convolution is much larger, and the next one's weights as
    much smaller: with one scale for the activation between, all other channels are rounded away."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    weights = {tensor.name: tensor for tensor in changed.graph.initializer}
    alive = int(numpy_helper.to_array(weights["proto_net.0.bias"]).argmax())  # not cut off by the ReLU
    for name, index, by in (
        ("proto_net.0.weight", np.s_[alive], factor),
        ("proto_net.0.bias", np.s_[alive], factor),
        ("proto_net.2.weight", np.s_[:, alive], 1 / factor),
    ):
        values = numpy_helper.to_array(weights[name]).copy()
        values[index] *= np.float32(by)
        weights[name].CopyFrom(numpy_helper.from_array(values, name))
    return changed
