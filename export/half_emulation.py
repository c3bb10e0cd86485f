"""Half precision on a CPU: a model in fp16 or bf16 as one in float32 that rounds wherever the original would.

ONNX Runtime's CPU execution provider has no half kernels for most operators. For fp16 it computes in float32 between
casts and leaves out pairs of casts, so values beyond 65504 pass unnoticed. It does not run bf16 convolutions at all.
Here every result of a half operator is rounded by a cast down and a cast up. Sums inside an operator are float32, as in
the tensor cores of a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.inliner
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper

HALF_TYPES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def emulate_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 model with the roundings of `proto`, which may hold any of fp16, bf16 and float32; functions are
    inlined. Inputs and outputs keep their names; outputs of half type become float32 ones."""
    inlined = onnx.inliner.inline_local_functions(proto)
    half = _half_tensors(inlined)
    graph = inlined.graph
    for tensor in graph.initializer:
        if tensor.data_type in HALF_TYPES:
            exact = numpy_helper.to_array(tensor).astype("float32")
            tensor.CopyFrom(numpy_helper.from_array(exact, tensor.name))
    nodes = [emulated for node in graph.node for emulated in _emulate(node, half)]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    for output in graph.output:
        if output.type.tensor_type.elem_type in HALF_TYPES:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    return inlined


def _half_tensors(proto: onnx.ModelProto) -> dict[str, int]:
    """Names of the tensors in half precision, with their types."""
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    infos = [*inferred.input, *inferred.output, *inferred.value_info]
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    return {name: dtype for name, dtype in types.items() if dtype in HALF_TYPES}


def _emulate(node: onnx.NodeProto, half: dict[str, int]) -> Iterator[onnx.NodeProto]:
    """The node in float32, and the rounding of its outputs."""
    if node.op_type == "Cast" and node.output[0] in half:
        node.attribute[0].i = TensorProto.FLOAT
    rounded = [name for name in node.output if name in half]
    node.output[:] = [f"{name}.exact" if name in half else name for name in node.output]
    yield node
    for name in rounded:
        yield helper.make_node("Cast", [f"{name}.exact"], [f"{name}.half"], f"{name}.down", to=half[name])
        yield helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.up", to=TensorProto.FLOAT)
