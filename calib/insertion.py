"""Puts QuantizeLinear/DequantizeLinear pairs into a network: INT8 that every runtime reads from the ONNX file itself.

TensorRT 10 and 11, TensorRT for RTX and ONNX Runtime all take it; TensorRT 11 takes nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from yolact.calib.quantization_points import Points, Target, Use

Ranges = Mapping[Use, tuple[float, float]]
"""Smallest and largest value of each activation that is to be represented; larger ones saturate."""

LEVELS = 127
"""Of INT8 on each side of zero: -128 is left out, so that negating never overflows."""

_TINIEST = 1e-7
"""A scale has to be positive and, in fp16, not to round to zero; this is fp16's smallest number and more."""


def insert_pairs(proto: onnx.ModelProto, points: Points, ranges: Ranges, target: Target) -> None:
    """Quantise a network in place.

    Weights are signed and symmetric with a scale for each output channel. For TensorRT they stay in high precision in
    the file and are rounded by a pair, which all its versions take; for a CPU they are stored as int8. Activations are
    signed and symmetric, or for a CPU unsigned with a zero point.

    Args:
        proto: the network the points were found in; its type is the high precision.
        points: from `find_points` with the same target.
        ranges: of every activation of the points.
    """
    _Insertion(proto, target).run(points, ranges)


class _Insertion:
    def __init__(self, proto: onnx.ModelProto, target: Target) -> None:
        self._graph, self._target = proto.graph, target
        self._nodes = {node.name: node for node in proto.graph.node}
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._first: list[onnx.NodeProto] = []
        self._after: dict[str, list[onnx.NodeProto]] = {}  # by the tensor that has to be there already

    def run(self, points: Points, ranges: Ranges) -> None:
        dtype = self._dtype(points)
        for uses in points.activations:
            self._round_activation(uses, ranges[uses[0]], dtype)
        for name in points.convolutions:
            self._round_weights(self._nodes[name], dtype)
        nodes = list(self._first)
        for node in self._graph.node:
            nodes += [node, *(pair for output in node.output for pair in self._after.get(output, ()))]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        used = {tensor for node in nodes for tensor in node.input}
        del self._graph.initializer[:]
        self._graph.initializer.extend(tensor for name, tensor in self._constants.items() if name in used)

    def _dtype(self, points: Points) -> np.dtype[Any]:
        weight = self._constants[self._nodes[points.convolutions[0]].input[1]]
        return np.dtype(helper.tensor_dtype_to_np_dtype(weight.data_type))

    def _round_activation(self, uses: tuple[Use, ...], limits: tuple[float, float], dtype: np.dtype[Any]) -> None:
        tensor = self._nodes[uses[0].node].input[uses[0].position]
        scale, zero = _activation_scale(*limits, self._target)
        names = self._constant(np.array(scale, dtype), tensor, "scale"), self._constant(zero, tensor, "zero")
        self._after[tensor] = [
            helper.make_node("QuantizeLinear", [tensor, *names], [f"{tensor}.rounded"], f"{tensor}.quantize"),
            helper.make_node(
                "DequantizeLinear", [f"{tensor}.rounded", *names], [f"{tensor}.dequantized"], f"{tensor}.dequantize"
            ),
        ]
        for use in uses:
            self._nodes[use.node].input[use.position] = f"{tensor}.dequantized"

    def _round_weights(self, node: onnx.NodeProto, dtype: np.dtype[Any]) -> None:
        weight = node.input[1]
        node.input[1] = f"{weight}.dequantized"
        if f"{weight}.scale" in self._constants:  # the levels share the head's
            return
        values = numpy_helper.to_array(self._constants[weight]).astype(np.float32)
        scales = _weight_scales(values).astype(dtype)
        zeros = np.zeros(len(values), np.int8)
        names = self._constant(scales, weight, "scale"), self._constant(zeros, weight, "zero")
        if self._target == "cpu":
            steps = values / scales.astype(np.float32)[:, None, None, None]
            rounded = self._constant(np.clip(np.rint(steps), -LEVELS, LEVELS).astype(np.int8), weight, "rounded")
        else:
            rounded = f"{weight}.rounded"
            self._first.append(
                helper.make_node("QuantizeLinear", [weight, *names], [rounded], f"{weight}.quantize", axis=0)
            )
        self._first.append(
            helper.make_node("DequantizeLinear", [rounded, *names], [node.input[1]], f"{weight}.dequantize", axis=0)
        )

    def _constant(self, value: NDArray[Any], tensor: str, kind: str) -> str:
        name = f"{tensor}.{kind}"
        self._constants[name] = numpy_helper.from_array(value, name)
        return name


def _weight_scales(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(O,) of weights (O, I, Kh, Kw)."""
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    return np.maximum(largest / LEVELS, _TINIEST).astype(np.float32)


def _activation_scale(low: float, high: float, target: Target) -> tuple[float, NDArray[Any]]:
    """Scale and zero point. Zero itself is always exact: padding and ReLU make many."""
    low, high = min(low, 0.0), max(high, 0.0)
    if target == "tensorrt":
        return max(-low, high, _TINIEST * LEVELS) / LEVELS, np.array(0, np.int8)
    scale = max((high - low) / 255, _TINIEST)
    return scale, np.array(round(-low / scale), np.uint8)
