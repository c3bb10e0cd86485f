"""Run as a program with the folder of the built libraries: what TensorRT for RTX makes of plugin calls, as JSON.

What is registered stays registered, so this is no part of the process that tests.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorrt_rtx as trt
from ml_dtypes import bfloat16
from onnx import TensorProto, helper
from plugin_calls import ATTRIBUTES, OUTPUTS, REFUSED, Attributes, Inputs, changed, inputs_of

from yolact.export.functions import PLUGIN_ATTRIBUTES

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "int32": TensorProto.INT32,
}
LARGEST = 4


class Logger(trt.ILogger):  # type: ignore[misc]
    """Keeps what is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(message)


LOGGER = Logger()


def model_of(op: str, attributes: Attributes, inputs: Inputs) -> bytes:
    """One call as the only node of an ONNX file."""
    node = helper.make_node(op, list(inputs), OUTPUTS[op], domain="yolact", **PLUGIN_ATTRIBUTES)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    given = [
        helper.make_tensor_value_info(name, TYPES[spec.dtype.name], [None if n < 0 else n for n in spec.shape])
        for name, spec in inputs.items()
    ]
    network = TYPES[next(iter(inputs.values())).dtype.name]
    types = {"num_detections": TensorProto.INT32, "classes": TensorProto.INT32, "detection_coefficients": network}
    taken = [helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None) for name in OUTPUTS[op]]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("yolact", 1)]
    graph = helper.make_graph([node], "call", given, taken)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def read(model: bytes, *, build: bool = True) -> dict[str, Any]:
    """What becomes of a model that is parsed and, where it was parsed, built for one GPU and batches up to LARGEST."""
    LOGGER.errors.clear()
    builder = trt.Builder(LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOGGER)
    parsed = parser.parse(model)
    tensors = [network.get_output(i) for i in range(network.num_outputs)] if parsed else []
    return {
        "parsed": parsed,
        "plugins": [layer.name for layer in network if layer.type == trt.LayerType.PLUGIN_V3],
        "outputs": [[tensor.name, tensor.dtype.name, list(tensor.shape)] for tensor in tensors],
        "built": parsed and build and is_built(builder, network),
        "errors": list(LOGGER.errors),
    }


def is_built(builder: Any, network: Any) -> bool:
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile = builder.create_optimization_profile()
    for tensor in (network.get_input(i) for i in range(network.num_inputs)):
        shapes = [[batch if size < 0 else size for size in tensor.shape] for batch in (1, 2, LARGEST)]
        profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config) is not None


def creators() -> list[dict[str, Any]]:
    registry = trt.get_plugin_registry()
    found = [registry.get_creator(op, "1", "yolact") for op in OUTPUTS]
    return [
        {
            "name": [creator.name, creator.plugin_version, creator.plugin_namespace],
            "fields": {field.name: field.type.name for field in creator.field_names},
        }
        for creator in found
        if creator is not None
    ]


def main() -> None:
    folder = Path(sys.argv[1])
    library = folder / sys.argv[2]
    builder = trt.Builder(LOGGER)  # the registry speaks to the logger of what was made first
    outcome: dict[str, Any] = {"before": creators()}
    models = {path: onnx.load(path).SerializeToString() for path in sys.argv[3:]}
    for path, model in models.items():
        outcome[f"{path} before"] = read(model, build=False)
    ctypes.CDLL(str(folder / "rtx" / "libtensorrt_rtx.so"))
    if "registered" in library.name:
        ctypes.CDLL(str(library))
    else:
        trt.get_plugin_registry().load_library(str(library))
    outcome["creators"] = creators()
    for op in OUTPUTS:
        for dtype in (np.float32, np.float16, bfloat16):
            outcome[f"{op} {np.dtype(dtype)}"] = read(model_of(op, ATTRIBUTES[op], inputs_of(op, dtype)))
    for path, model in models.items():
        outcome[path] = read(model)
    for name, refusal in REFUSED.items():
        outcome[name] = read(model_of(refusal.op, *changed(refusal)))
    del builder
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
