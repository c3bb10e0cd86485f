"""The inside of ONNX files: which tensors are layers, and graphs that have them as outputs or take them as inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from yolact.diff.tensor_diff import TensorDiff, Tensors
from yolact.runtime.contract import HEADS, INPUT_NAME
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.wording import one_line

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
"""Operators that compute nothing: their outputs are no layers of their own. A cast may stand for one in a file where
another has rounded the layer, so tensors are left out only where no file computes them."""

_PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

_GIVEN = ".reference"  # suffix of inputs that stand for layers


def tensor_names(proto: onnx.ModelProto) -> dict[str, bool]:
    """Tensors that the heads are computed from, and the heads, in network order, and whether each is a layer.

    What comes after the heads works on detections, which are compared as sets.
    """
    computed = {name for node in proto.graph.node for name in node.output}
    nodes = _needed(proto, [name for name in HEADS if name in computed])
    return {name: node.op_type not in MOVING or name in HEADS for node in nodes for name in node.output}


def with_outputs(proto: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy whose outputs are these tensors, without what they do not need."""
    part = onnx.ModelProto()
    part.CopyFrom(proto)
    nodes = _needed(proto, names)
    del part.graph.node[:]
    part.graph.node.extend(nodes)
    del part.graph.value_info[:]
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    _drop_unused_weights(part)
    return part


def with_given_layers(proto: onnx.ModelProto, types: Mapping[str, np.dtype[Any]]) -> onnx.ModelProto:
    """A graph that computes every layer from layers that are given to it, in place of those it computes.

    Args:
        proto: the model.
        types: of each layer in this model.
    """
    part = with_outputs(proto, list(types))
    for node in part.graph.node:
        for index, name in enumerate(node.input):
            if name in types:
                node.input[index] = f"{name}{_GIVEN}"
    used = {name for node in part.graph.node for name in node.input}
    for name, dtype in types.items():
        if f"{name}{_GIVEN}" in used:
            kind = helper.np_dtype_to_tensor_dtype(dtype)
            part.graph.input.append(helper.make_tensor_value_info(f"{name}{_GIVEN}", kind, None))
    return part


def open_session(
    proto: onnx.ModelProto, device: DeviceChoice | None, *, optimise: bool = True
) -> onnxruntime.InferenceSession:
    """A session on the device, by default the CPU. Raises EngineError where ONNX Runtime does not take the graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    providers: list[Any] = ["CPUExecutionProvider"]
    if device is not None and device.kind in _PROVIDERS:
        providers.insert(0, (_PROVIDERS[device.kind], {"device_id": str(device.index)}))
    try:
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        reason = one_line(error)
        raise EngineError(f"ONNX Runtime cannot run this model with its layers as outputs ({reason})") from error


class LayerByLayer:
    """Recomputes every layer from the reference's values at its inputs."""

    def __init__(self, proto: onnx.ModelProto, device: DeviceChoice | None) -> None:
        self._proto, self._device = proto, device
        self._session: onnxruntime.InferenceSession | None = None

    def __call__(self, images: Image, tested: Tensors, reference: Tensors) -> Tensors:
        """See `tensor_diff.Recompute`. The first call tells the names and types of the layers."""
        if self._session is None:
            types = {name: tested[name].dtype for name in tested if tested[name].dtype.kind == "f"}
            self._session = open_session(with_given_layers(self._proto, types), self._device)
        feeds: dict[str, NDArray[Any]] = {}
        for entry in self._session.get_inputs():
            if entry.name == INPUT_NAME:
                feeds[INPUT_NAME] = images
            else:
                name = entry.name.removesuffix(_GIVEN)
                with np.errstate(over="ignore"):  # beyond the range of half precision: infinite, as in the network
                    feeds[entry.name] = np.asarray(reference[name]).astype(tested[name].dtype, copy=False)
        outputs = [output.name for output in self._session.get_outputs()]
        return dict(zip(outputs, self._session.run(outputs, feeds), strict=True))


def optimisation_error(
    proto: onnx.ModelProto, names: Sequence[str], device: DeviceChoice | None, images: Image
) -> float:
    """Largest relative error that ONNX Runtime's own optimisations of the graph make in these tensors."""
    part = with_outputs(proto, names)
    optimised, plain = (
        open_session(part, device, optimise=optimise).run(list(names), {INPUT_NAME: images})
        for optimise in (True, False)
    )
    return max(TensorDiff(name).add(a, b) for name, a, b in zip(names, optimised, plain, strict=True))


def onnx_runner(proto: onnx.ModelProto, name: str, names: Sequence[str], device: DeviceChoice | None) -> Any:
    """Polygraphy's runner of ONNX Runtime with these tensors as outputs."""
    from polygraphy.backend.onnxrt import OnnxrtRunner

    load: Callable[[], onnxruntime.InferenceSession] = lambda: open_session(with_outputs(proto, names), device)  # noqa: E731
    return OnnxrtRunner(load, name=name)


def _needed(proto: onnx.ModelProto, names: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that compute these tensors, in the order of the graph, which is one of computation."""
    wanted = set(names)
    nodes = []
    for node in reversed(proto.graph.node):
        if wanted & set(node.output):
            nodes.append(node)
            wanted |= set(node.input)
    return nodes[::-1]


def _drop_unused_weights(proto: onnx.ModelProto) -> None:
    used = {name for node in proto.graph.node for name in node.input}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
