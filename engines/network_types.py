"""The types that a TensorRT network or engine really computes in. Another precision than the one asked for is an error,
never a silent fallback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from yolact.runtime.errors import AccuracyError
from yolact.runtime.json_text import parse_json
from yolact.runtime.metadata import Precision
from yolact.runtime.wording import count_noun, list_all

if TYPE_CHECKING:
    import onnx

TYPE_NAMES: dict[Precision, str] = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}
"""TensorRT's names (`DataType`) of the precisions of `yolact-export`."""

_COMPUTING = ("CONVOLUTION", "DECONVOLUTION")

_INSPECTED_TYPES = {
    "BFLOAT16": "BF16",
    "BF16": "BF16",
    "HALF": "HALF",
    "FP16": "HALF",
    "FLOAT": "FLOAT",
    "FP32": "FLOAT",
    "INT8": "INT8",
}
"""The engine inspector's names of types, with their `DataType` names; the first that occurs in a description counts."""

_IN_WORDS = {dtype: precision for precision, dtype in TYPE_NAMES.items()}


def layer_table(network: Any) -> Counter[tuple[str, str]]:
    """The number of layers of each kind and output type, e.g. ("CONVOLUTION", "HALF"), in an `INetworkDefinition`.

    Strongly typed networks compute in exactly these types.
    """
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return Counter((layer.type.name, layer.get_output(0).dtype.name) for layer in layers if layer.num_outputs)


def network_types(network: Any) -> dict[str, int]:
    """The number of a network's convolutions by type."""
    counts: Counter[str] = Counter()
    for (kind, dtype), count in layer_table(network).items():
        if kind in _COMPUTING:
            counts[dtype] += count
    return dict(counts)


def check_quantization(proto: onnx.ModelProto, network: Any) -> None:
    """Raise AccuracyError unless the network rounds to INT8 in as many places as the ONNX file.

    Whether the engine then computes in INT8 is up to TensorRT's fusions.
    """
    asked = sum(node.op_type == "QuantizeLinear" for node in proto.graph.node)
    obtained = sum(count for (kind, _), count in layer_table(network).items() if kind == "QUANTIZE")
    if asked != obtained:
        raise AccuracyError(
            f"the ONNX file rounds to INT8 in {asked} places, TensorRT's network in {obtained}; nothing was written, "
            "please report this with the TensorRT version"
        )


def engine_types(information: str) -> dict[str, int]:
    """The number of an engine's convolutions by type; empty where no layer is called a convolution after fusion, or the
    inspector tells no types.

    Args:
        information: JSON of `EngineInspector.get_engine_information` for an engine built with detailed profiling
            verbosity. TensorRT 10 and 11 name the types in different fields; both are read.
    """
    layers = [layer for layer in parse_json(information).get("Layers", []) if isinstance(layer, dict)]
    convolutions = [layer for layer in layers if "conv" in str(layer.get("LayerType", "")).lower()]
    types = (_computing_type(layer) for layer in convolutions)
    return dict(Counter(dtype for dtype in types if dtype is not None))


def _computing_type(layer: Mapping[str, Any]) -> str | None:
    """The type of the weights where the inspector tells it, else that of the first input.

    The type of the output may differ, as a cast may have been fused into the layer.
    """
    weights, inputs = layer.get("Weights"), layer.get("Inputs") or [{}]
    told = weights.get("Type") if isinstance(weights, dict) else None
    description = str(told or inputs[0].get("DataType") or inputs[0].get("Format/Datatype", "")).upper()
    return next((dtype for word, dtype in _INSPECTED_TYPES.items() if word in description), None)


def check_precision(asked: Precision, obtained: Mapping[str, int], *, int8: bool = False) -> None:
    """Raise AccuracyError where a convolution does not have the type that was asked for.

    Args:
        obtained: number of convolutions by type, from `network_types` or `engine_types`.
        int8: whether these are the types of an engine in which some convolutions have to be INT8.
    """
    if int8 and obtained and "INT8" not in obtained:
        raise AccuracyError(
            f"asked for INT8, but TensorRT would run none of {sum(obtained.values())} convolutions in INT8; nothing "
            "was written, "
            "please report this with the TensorRT version"
        )
    expected = {TYPE_NAMES[asked], "INT8"} if int8 else {TYPE_NAMES[asked]}
    others = {dtype: count for dtype, count in obtained.items() if dtype not in expected}
    if others:
        found = list_all(
            [f"{count_noun(count, 'convolution')} in {_IN_WORDS.get(dtype, dtype)}" for dtype, count in others.items()]
        )
        raise AccuracyError(
            f"asked for {asked}, but TensorRT would run {found}; nothing was written, please report this with the "
            "TensorRT version"
        )
