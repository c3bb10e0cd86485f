"""Makes tensors inside an ONNX graph its outputs, so that a session returns them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def with_more_outputs(proto: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of the model that returns these tensors too; those that it returns already are passed over."""
    copy = _copy(proto)
    present = {output.name for output in copy.graph.output}
    for name in names:
        if name not in present:
            copy.graph.output.add(name=name)
    return copy


def with_only_outputs(proto: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of the model that returns these tensors alone, without the nodes and weights that they do not need."""
    copy = _copy(proto)
    nodes = nodes_behind(proto, names)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name in used]
    for field in ("node", "initializer", "value_info", "output"):
        copy.graph.ClearField(field)
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(kept)
    for name in names:
        copy.graph.output.add(name=name)
    return copy


def nodes_behind(proto: onnx.ModelProto, names: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that these tensors are computed by, in the order of the graph, which is one of computation."""
    wanted = set(names)
    nodes = []
    for node in reversed(proto.graph.node):
        if wanted & set(node.output):
            nodes.append(node)
            wanted |= set(node.input)
    return nodes[::-1]


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(proto)()
    copy.CopyFrom(proto)
    return copy
