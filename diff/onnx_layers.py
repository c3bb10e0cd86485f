"""The layers of ONNX files: finds their tensors, runs them, and makes graphs that compute each from given inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from yolact.diff.tensor_diff import TensorDiff, Tensors
from yolact.runtime.contract import HEADS, INPUT_NAME
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.graph_outputs import nodes_behind, with_only_outputs
from yolact.runtime.onnx.session import open_session, run_session

MOVING = frozenset(
    [
        "Cast",
        "Concat",
        "Constant",
        "DequantizeLinear",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Shape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators that compute nothing, so their outputs are no layers of their own. Where one file has a cast, the other may
have the rounded layer itself, so a tensor is left out only if neither file computes it."""

_GIVEN = ".reference"  # suffix of inputs that stand for layers


def tensor_names(proto: onnx.ModelProto) -> dict[str, bool]:
    """The heads and the tensors they are computed from, in network order, and whether each is a layer.

    Nodes after the heads work on detections, which are compared as sets.
    """
    computed = {name for node in proto.graph.node for name in node.output}
    nodes = nodes_behind(proto, [name for name in HEADS if name in computed])
    return {name: node.op_type not in MOVING or name in HEADS for node in nodes for name in node.output}


def with_given_layers(proto: onnx.ModelProto, layers: Tensors) -> onnx.ModelProto:
    """A graph that computes every layer from given layers instead of from its own.

    Args:
        proto: the model.
        layers: arrays with the type and the number of dimensions of each layer in this model.
    """
    part = with_only_outputs(proto, list(layers))
    for node in part.graph.node:
        for index, name in enumerate(node.input):
            if name in layers:
                node.input[index] = f"{name}{_GIVEN}"
    used = {name for node in part.graph.node for name in node.input}
    for name, array in layers.items():
        if f"{name}{_GIVEN}" in used:
            kind, sizes = helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim
            part.graph.input.append(helper.make_tensor_value_info(f"{name}{_GIVEN}", kind, sizes))
    return part


class Graph(Protocol):
    """A graph that a runtime has opened.

    Attributes:
        inputs: names of the inputs.
    """

    @property
    def inputs(self) -> Sequence[str]: ...

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name. Raises EngineError where the runtime fails."""


class OnnxGraph:
    """A graph in ONNX Runtime."""

    def __init__(self, proto: onnx.ModelProto, device: DeviceChoice) -> None:
        self._session = open_session(proto, device)
        self.inputs = tuple(entry.name for entry in self._session.get_inputs())

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See Graph."""
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, run_session(self._session, names, feeds), strict=True))


class LayerByLayer:
    """Recomputes every layer from the reference's values at its inputs."""

    def __init__(self, proto: onnx.ModelProto, open_graph: Callable[[onnx.ModelProto], Graph]) -> None:
        self._proto, self._open = proto, open_graph
        self._graph: Graph | None = None

    def __call__(self, images: Image, tested: Tensors, reference: Tensors) -> Tensors:
        """See `tensor_diff.Recompute`. The first call fixes the names and types of the layers."""
        if self._graph is None:
            layers = {name: tested[name] for name in tested if tested[name].dtype.kind == "f"}
            self._graph = self._open(with_given_layers(self._proto, layers))
        feeds: dict[str, NDArray[Any]] = {}
        for given in self._graph.inputs:
            if given == INPUT_NAME:
                feeds[INPUT_NAME] = images
            else:
                name = given.removesuffix(_GIVEN)
                with np.errstate(over="ignore"):  # beyond the range of half precision: infinite, as in the network
                    feeds[given] = np.asarray(reference[name]).astype(tested[name].dtype, copy=False)
        return self._graph(feeds)


def optimisation_error(proto: onnx.ModelProto, names: Sequence[str], device: DeviceChoice, images: Image) -> float:
    """Largest relative error that ONNX Runtime's own optimisations of the graph make in these tensors."""
    part = with_only_outputs(proto, names)
    optimised, plain = (
        run_session(open_session(part, device, optimise=optimise), names, {INPUT_NAME: images})
        for optimise in (True, False)
    )
    diffs = [TensorDiff(name) for name in names]
    for diff, a, b in zip(diffs, optimised, plain, strict=True):
        diff.add(a, b)
    return max(diff.relative for diff in diffs)


def onnx_runner(proto: onnx.ModelProto, name: str, names: Sequence[str], device: DeviceChoice) -> Any:
    """Polygraphy's runner of ONNX Runtime with these tensors as outputs."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    load: Callable[[], onnxruntime.InferenceSession] = lambda: open_session(with_only_outputs(proto, names), device)  # noqa: E731
    return OnnxrtRunner(load, name=name)
