"""Puts QuantizeLinear/DequantizeLinear pairs into a network, so that every runtime reads INT8 from the ONNX file.

TensorRT 10 and 11, TensorRT for RTX and ONNX Runtime all take this form; TensorRT 11 takes no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from yolact.calib.quantization_points import Consumer, Platform, QuantizationPoints
from yolact.runtime.errors import AccuracyError

Ranges = Mapping[Consumer, tuple[float, float]]
"""Smallest and largest value to represent of each activation; values beyond them saturate."""

LEVELS = 127
"""Levels of INT8 on each side of zero; -128 is left out, so that negating never overflows."""

_TINIEST = 1e-7
"""A scale has to be positive and must not round to zero in fp16; this is just above fp16's smallest number."""


def insert_qdq_pairs(proto: onnx.ModelProto, points: QuantizationPoints, ranges: Ranges, platform: Platform) -> None:
    """Quantise a network in place.

    Weights are signed and symmetric, with a scale for each output channel. For TensorRT they stay in high precision in
    the file and are rounded by a pair, which all its versions take; for a CPU they are stored as int8. Activations are
    signed and symmetric for TensorRT, unsigned with a zero point for a CPU.

    Args:
        proto: the network in which the points were found; its type is the high precision.
        points: from `find_quantization_points` with the same platform.
        ranges: of every activation of the points.

    Raises AccuracyError for an activation whose range is not finite, or zero.
    """
    _QdqWriter(proto, platform).run(points, ranges)


class _QdqWriter:
    """Collects pairs and constants, then writes them into the graph of one network."""

    def __init__(self, proto: onnx.ModelProto, platform: Platform) -> None:
        self._graph, self._platform = proto.graph, platform
        self._nodes = {node.name: node for node in proto.graph.node}
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._first: list[onnx.NodeProto] = []  # nodes of weights and biases, which depend on no activation
        self._scales: dict[str, float] = {}  # of rounded activations, by the name of the tensor after the pair
        self._after: dict[str, list[onnx.NodeProto]] = {}  # pairs, by the tensor that they round

    def run(self, points: QuantizationPoints, ranges: Ranges) -> None:
        dtype = self._dtype(points)
        for consumers in points.activations:
            self._round_activation(consumers, ranges[consumers[0]], dtype)
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

    def _dtype(self, points: QuantizationPoints) -> np.dtype[Any]:
        weight = self._constants[self._nodes[points.convolutions[0]].input[1]]
        return np.dtype(helper.tensor_dtype_to_np_dtype(weight.data_type))

    def _round_activation(
        self, consumers: tuple[Consumer, ...], limits: tuple[float, float], dtype: np.dtype[Any]
    ) -> None:
        tensor = self._nodes[consumers[0].node].input[consumers[0].position]
        if not np.isfinite(limits).all() or tuple(limits) == (0, 0):
            what = "are all zero" if tuple(limits) == (0, 0) else "are not finite"
            raise AccuracyError(f"values of {tensor!r} {what} on the calibration images; check the checkpoint")
        exact, zero = _activation_scale(*limits, self._platform)
        scale = _not_below(np.array(exact), dtype)
        self._scales[f"{tensor}.dequantized"] = float(scale)
        names = self._constant(scale, tensor, "scale"), self._constant(zero, tensor, "zero")
        self._after[tensor] = [
            helper.make_node("QuantizeLinear", [tensor, *names], [f"{tensor}.rounded"], f"{tensor}.quantize"),
            helper.make_node(
                "DequantizeLinear", [f"{tensor}.rounded", *names], [f"{tensor}.dequantized"], f"{tensor}.dequantize"
            ),
        ]
        for consumer in consumers:
            self._nodes[consumer.node].input[consumer.position] = f"{tensor}.dequantized"

    def _round_weights(self, node: onnx.NodeProto, dtype: np.dtype[Any]) -> None:
        weight = node.input[1]
        node.input[1] = f"{weight}.dequantized"
        if f"{weight}.scale" not in self._constants:  # the head's weights serve all levels
            self._round_weight(weight, node.input[1], dtype)
        if self._platform == "cpu" and len(node.input) > 2:
            self._round_bias(node, weight)

    def _round_bias(self, node: onnx.NodeProto, weight: str) -> None:
        """Store the bias as int32 in steps of the activation's scale times the weight's, like the convolution's sums.

        ONNX Runtime before 1.21 computes a convolution with any other bias in float32.
        """
        of_weight = numpy_helper.to_array(self._constants[f"{weight}.scale"])
        scales = (self._scales[node.input[0]] * of_weight).astype(of_weight.dtype)
        values = numpy_helper.to_array(self._constants[node.input[2]]).astype(np.float64)
        steps = np.rint(values / scales.astype(np.float64))
        if np.abs(steps).max() > np.iinfo(np.int32).max:  # where a channel's weights are next to nothing
            return
        rounded = steps.astype(np.int32)
        name = f"{node.name}.bias"
        names = [self._constant(array, name, kind) for array, kind in ((rounded, "rounded"), (scales, "scale"))]
        node.input[2] = f"{name}.dequantized"
        self._first.append(helper.make_node("DequantizeLinear", names, [node.input[2]], f"{name}.dequantize", axis=0))

    def _round_weight(self, weight: str, output: str, dtype: np.dtype[Any]) -> None:
        values = numpy_helper.to_array(self._constants[weight]).astype(np.float32)
        scales = _not_below(_weight_scales(values), dtype)
        zeros = np.zeros(len(values), np.int8)
        names = self._constant(scales, weight, "scale"), self._constant(zeros, weight, "zero")
        if self._platform == "cpu":
            steps = values / scales.astype(np.float32)[:, None, None, None]
            rounded = self._constant(np.clip(np.rint(steps), -LEVELS, LEVELS).astype(np.int8), weight, "rounded")
        else:
            rounded = f"{weight}.rounded"
            self._first.append(
                helper.make_node("QuantizeLinear", [weight, *names], [rounded], f"{weight}.quantize", axis=0)
            )
        self._first.append(
            helper.make_node("DequantizeLinear", [rounded, *names], [output], f"{weight}.dequantize", axis=0)
        )

    def _constant(self, value: NDArray[Any], tensor: str, kind: str) -> str:
        name = f"{tensor}.{kind}"
        self._constants[name] = numpy_helper.from_array(value, name)
        return name


def _not_below(scales: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The scales in another type, rounded up: a scale that is too small would clip the largest value."""
    rounded = scales.astype(dtype)
    above = np.nextafter(rounded, np.array(np.inf, dtype))
    return np.where(rounded.astype(np.float64) < scales, above, rounded).astype(dtype)


def _weight_scales(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(O,) scales, one for each output channel, of weights (O, I, Kh, Kw)."""
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    return np.maximum(largest / LEVELS, _TINIEST).astype(np.float32)


def _activation_scale(low: float, high: float, platform: Platform) -> tuple[float, NDArray[Any]]:
    """Scale and zero point. Zero itself is always represented exactly, as padding and ReLU make many zeros."""
    low, high = min(low, 0.0), max(high, 0.0)
    if platform == "tensorrt":
        return max(-low, high, _TINIEST * LEVELS) / LEVELS, np.array(0, np.int8)
    scale = max((high - low) / 255, _TINIEST)
    return scale, np.array(round(-low / scale), np.uint8)
