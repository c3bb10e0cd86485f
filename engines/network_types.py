"""Which types a TensorRT network or engine really computes in: a precision that was asked for and not obtained is an
error, never a silent fallback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from yolact.runtime.errors import AccuracyError
from yolact.runtime.json_text import parse_json
from yolact.runtime.metadata import Precision

if TYPE_CHECKING:
    import onnx

TYPE_NAMES: dict[Precision, str] = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}
"""TensorRT's names (`DataType`) of what `yolact-export` calls precision."""

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
"""What the engine inspector calls types, to `DataType` names; the first that occurs in its description counts."""


def layer_table(network: Any) -> Counter[tuple[str, str]]:
    """How many layers a network (`INetworkDefinition`) has of each kind and output type, e.g. ("CONVOLUTION", "HALF").

    Strongly typed networks compute in exactly these types.
    """
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return Counter((layer.type.name, layer.get_output(0).dtype.name) for layer in layers if layer.num_outputs)


def network_types(network: Any) -> dict[str, int]:
    """Convolutions of a network by type."""
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
    """Convolutions of an engine by type; empty where fusion left no layer called so, or the inspector tells no types.

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

    The output does not tell, as a cast may have been fused into the layer.
    """
    weights, inputs = layer.get("Weights"), layer.get("Inputs") or [{}]
    told = weights.get("Type") if isinstance(weights, dict) else None
    description = str(told or inputs[0].get("DataType") or inputs[0].get("Format/Datatype", "")).upper()
    return next((dtype for word, dtype in _INSPECTED_TYPES.items() if word in description), None)


def check_precision(asked: Precision, obtained: Mapping[str, int], *, int8: bool = False) -> None:
    """Raise AccuracyError where not every convolution is of the type that was asked for.

    Args:
        obtained: number of convolutions by type, see `network_types`, `engine_types`.
        int8: these are an engine's types, of which some have to be INT8.
    """
    if int8 and obtained and "INT8" not in obtained:
        raise AccuracyError(
            f"asked for INT8, but none of TensorRT's {sum(obtained.values())} convolutions is; nothing was written, "
            "please report this with the TensorRT version"
        )
    expected = {TYPE_NAMES[asked], "INT8"} if int8 else {TYPE_NAMES[asked]}
    others = {dtype: count for dtype, count in obtained.items() if dtype not in expected}
    if others:
        found = ", ".join(f"{count} in {dtype}" for dtype, count in others.items())
        raise AccuracyError(
            f"asked for {asked}, but of TensorRT's convolutions there are {found}; nothing was written, "
            "please report this with the TensorRT version"
        )
