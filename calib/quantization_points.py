"""Where a network is quantised: which convolutions compute in INT8, and which activations are rounded for them.

A point is named by its reader (node and input), since readers have the same names in every precision of a network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from yolact.runtime.errors import UsageError

if TYPE_CHECKING:
    import onnx

Platform = Literal["tensorrt", "cpu"]
"""The platform that will run the file. TensorRT wants signed symmetric activations and fuses a sum into the convolution
before it, so only the other summand is rounded. ONNX Runtime's CPU kernels are fastest with unsigned activations, and
compute a sum in INT8 only if both summands are rounded."""

MODULES = {"backbone": "backbone.", "fpn": "fpn.", "protonet": "proto_net.", "head": "prediction_layers."}
"""Parts of a network that can be quantised, and how the names of their layers begin."""

DEFAULT_MODULES: dict[Platform, tuple[str, ...]] = {"tensorrt": ("backbone", "protonet"), "cpu": tuple(MODULES)}
"""For TensorRT, the rest is fp16, which is fast too, and YolactEdge found that FPN and prediction head lose more
accuracy than they gain speed (arXiv 2012.12259). For a CPU, the rest is fp32: with all parts in INT8 a network is three
times as fast as in fp32, with backbone and Protonet alone twice (docs/how-to/int8.md)."""

_POSITIONS = "conv_offset_mask"
"""Layer that predicts where a deformable convolution samples. It is never rounded, as an error of one cell changes the
pixels that the convolution reads."""

_ENDS_OF_CONVOLUTIONS = ("LeakyRelu", "Resize", "Transpose")
"""Operators that read the result of a convolution and are no convolutions themselves. A CPU computes that convolution
in INT8 only if its result is rounded for them."""


class Consumer(NamedTuple):
    """Reader of an activation: the node's name and which of its inputs."""

    node: str
    position: int


_Readers = dict[str, list[Consumer]]


class QuantizationPoints(NamedTuple):
    """Where to quantise.

    Attributes:
        convolutions: names of the nodes whose weights are rounded.
        activations: the rounded activations, each given by all readers of its rounded values.
    """

    convolutions: tuple[str, ...]
    activations: tuple[tuple[Consumer, ...], ...]


def find_quantization_points(
    proto: onnx.ModelProto, modules: Iterable[str], exclude: Iterable[str], platform: Platform
) -> QuantizationPoints:
    """The points of an exported file.

    Args:
        proto: made by `export_model`, in any precision, not quantised.
        modules: keys of `MODULES`.
        exclude: names of layers that stay in high precision, or beginnings of names up to a dot.
        platform: the platform that will run the file.

    Raises UsageError for an unknown module, for an exclusion that matches no layer, and where no convolution is left.
    """
    unknown = set(modules) - MODULES.keys()
    if unknown:
        raise UsageError(f"the modules are {', '.join(MODULES)}, got {', '.join(sorted(unknown))}")
    graph, weights = proto.graph, {tensor.name for tensor in proto.graph.initializer}
    prefixes = tuple(MODULES[module] for module in modules)
    layers = _layers(graph.node)
    _check_exclusions(exclude, layers.values())

    def is_chosen(node: onnx.NodeProto) -> bool:
        names = layers[node.name]
        return any(name.startswith(prefixes) for name in names) and not _is_excluded(names, exclude)

    chosen = [node for node in graph.node if is_chosen(node)]
    convolutions = [n for n in chosen if n.op_type == "Conv" and n.input[1] in weights and _can_round(n, platform)]
    if not convolutions:
        raise UsageError("nothing is left to quantise; give more --int8-modules or fewer --exclude")
    readers: _Readers = {node.input[0]: [] for node in convolutions}
    for node in convolutions:
        readers[node.input[0]].append(Consumer(node.name, 0))
    for node in chosen:
        if _is_position(layers[node.name]):
            continue
        for index in _rounded_inputs(node, platform):
            readers.setdefault(node.input[index], []).append(Consumer(node.name, index))
    left_alone = {name for name, names in layers.items() if _is_excluded(names, exclude) or _is_position(names)}
    _share_roundings(graph.node, {node.name for node in convolutions}, left_alone, readers)
    return QuantizationPoints(tuple(node.name for node in convolutions), tuple(map(tuple, readers.values())))


def layer_names(proto: onnx.ModelProto, points: QuantizationPoints) -> tuple[str, ...]:
    """The names of the convolutions' modules, in network order. The head's, which all levels share, are named once."""
    weights = {node.name: node.input[1] for node in proto.graph.node if node.op_type == "Conv"}
    return tuple(dict.fromkeys(weights[name].removesuffix(".weight") for name in points.convolutions))


def _share_roundings(
    nodes: Iterable[onnx.NodeProto], convolutions: Collection[str], left_alone: Collection[str], readers: _Readers
) -> None:
    """Let every convolution that reads the output of a convolution in INT8 read it rounded, as other readers do.

    FPN reads the tensor that the backbone's next block reads rounded. With one rounding for both, the whole output of
    the convolution is INT8, and only then does a CPU compute the sum before it in INT8.

    Args:
        nodes: of the graph, in its order.
        convolutions: names of the convolutions in INT8.
        left_alone: names of nodes that read no rounded tensor.
        readers: of each rounded tensor; more are added.
    """
    makers: dict[str, str] = {}  # of a tensor the convolution that it comes from, through first inputs
    for node in nodes:
        if node.op_type != "Conv":
            maker = makers.get(node.input[0], "") if node.input else ""
        else:
            maker, tensor, consumer = node.name, node.input[0], Consumer(node.name, 0)
            known = readers.get(tensor, [consumer])
            if makers.get(tensor) in convolutions and node.name not in left_alone and consumer not in known:
                known.append(consumer)
        makers.update(dict.fromkeys(node.output, maker))


def _can_round(convolution: onnx.NodeProto, platform: Platform) -> bool:
    """Whether to round it. TensorRT for RTX 1.7 makes depthwise convolutions in INT8 dense and so doubles MobileNet."""
    groups = next((attribute.i for attribute in convolution.attribute if attribute.name == "group"), 1)
    return _POSITIONS not in convolution.input[1] and (groups == 1 or platform == "cpu")


def _rounded_inputs(node: onnx.NodeProto, platform: Platform) -> tuple[int, ...]:
    """The indices of the inputs that are rounded of a node between convolutions."""
    if node.op_type == "Add":
        return (0, 1) if platform == "cpu" else (1,)  # the second is the shortcut
    return (0,) if node.op_type in _ENDS_OF_CONVOLUTIONS and platform == "cpu" else ()


def _layers(nodes: Iterable[onnx.NodeProto]) -> dict[str, tuple[str, ...]]:
    """The names by which each node can be excluded.

    These are the module whose output the node computes and the module whose weights it reads. A node that only passes
    the result of a convolution on has the names of that convolution too.
    """
    layers: dict[str, tuple[str, ...]] = {}
    convolutions: dict[str, tuple[str, ...]] = {}  # by output
    for node in nodes:
        names = [node.name.rpartition("/")[2]]
        if node.op_type == "Conv":
            names.append(node.input[1].removesuffix(".weight"))
            convolutions[node.output[0]] = tuple(names)
        elif node.op_type == "Add" or node.op_type in _ENDS_OF_CONVOLUTIONS:
            names += convolutions.get(node.input[0], ())
        layers[node.name] = tuple(names)
    return layers


def _is_excluded(names: Collection[str], exclude: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{one}.") for one in exclude for name in names)


def _is_position(names: Collection[str]) -> bool:
    return any(_POSITIONS in name for name in names)


def _check_exclusions(exclude: Iterable[str], layers: Iterable[Collection[str]]) -> None:
    known = list(layers)
    for one in exclude:
        if not any(_is_excluded(names, [one]) for names in known):
            raise UsageError(
                f"--exclude {one}: no layer has this name or begins with it and a dot; yolact-sensitivity lists layers"
            )
