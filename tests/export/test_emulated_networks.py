"""Every rounding of a network in half precision, and what stays as it is in full precision."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx.inliner
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from seeded import seeded

from yolact.export.half_emulation import emulate_half
from yolact.export.onnx_model import export_model
from yolact.export.verify import verify_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import AccuracyError, EngineError
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import ModelMetadata, Precision
from yolact.training.models.model import Yolact

LIMITS = PostprocessConfig(max_detections=20)
TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
DTYPES = {"fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
DEFORMABLE = ModelConfig(
    "tiny", "resnet50", 256, ("a", "b", "c"), fpn_channels=64, deformable_interval=3, mask_rescoring=True
)

HALF_OPERATORS = {
    *("Conv", "Relu", "LeakyRelu", "Clip", "Add", "MaxPool", "GlobalMaxPool", "Resize"),
    *("Transpose", "Reshape", "Concat", "Cast"),
    "MatMul",  # of prototypes and coefficients
    *("GatherND", "Where", "Constant", "Identity"),  # hand the network's own tensors on
}


def export(model: Yolact, precision: Precision) -> onnx.ModelProto:
    return export_model(model, LIMITS, weights_sha256="", precision=precision)


def tensor_types(proto: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor of a file without functions."""
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    types = {info.name: info.type.tensor_type.elem_type for info in infos}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


@pytest.fixture(scope="module")
def deformable() -> Yolact:
    return seeded(DEFORMABLE)


def emulated_values(proto: onnx.ModelProto, precision: Precision) -> dict[str, np.ndarray]:
    """Every half tensor of a network that looks at a picture, by name in the original file."""
    half = {name for name, dtype in tensor_types(proto).items() if dtype == TYPES[precision]}
    names = [name for node in proto.graph.node for name in node.output if name in half]
    emulated = emulate_half(proto)
    for name in names:
        emulated.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(emulated.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = Preprocessor(DEFORMABLE.image_size)([make_check_image()])
    values = dict(zip(names, session.run(names, {"images": pixels}), strict=True))
    weights = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in proto.graph.initializer if t.name in half}
    return values | weights


@pytest.mark.parametrize("precision", TYPES)
def test_every_half_tensor_is_rounded(deformable: Yolact, precision: Precision) -> None:
    """Each holds half values only, and each convolution is PyTorch's in double precision, rounded once."""
    proto = onnx.inliner.inline_local_functions(export(deformable, precision))
    values = emulated_values(proto, precision)
    assert len(values) > 300
    for name, array in values.items():
        np.testing.assert_array_equal(array, array.astype(DTYPES[precision]).astype(np.float32), err_msg=name)
    seen = 0
    for node in proto.graph.node:
        if node.op_type == "Conv":
            weights = [torch.from_numpy(values[name].astype(np.float64)) for name in node.input]
            options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            exact = F.conv2d(*weights, stride=options["strides"], padding=options.get("pads", [0, 0])[:2]).numpy()
            found = values[node.output[0]]
            # Sums in float32 end elsewhere only where the exact one lies next to the middle between two half values.
            assert (found == exact.astype(DTYPES[precision]).astype(np.float32)).mean() > 0.99, node.name
            seen += 1
    assert seen > 60


@pytest.mark.parametrize("precision", TYPES)
def test_only_the_network_computes_in_half(deformable: Yolact, precision: Precision) -> None:
    proto = export(deformable, precision)
    inlined = onnx.inliner.inline_local_functions(proto)
    types = tensor_types(inlined)
    computing = {node.op_type for node in inlined.graph.node if types[node.output[0]] == TYPES[precision]}
    assert computing <= HALF_OPERATORS
    for call in (node for node in proto.graph.node if node.domain):
        heads = {"locations", "confidences", "coefficients", "prototypes", "detection_coefficients"}
        assert {types[tensor] for tensor in heads.intersection(call.input)} == {TYPES[precision]}
        assert {types[tensor] for tensor in set(call.input) - heads} <= {TensorProto.FLOAT, TensorProto.INT32}
    for node in inlined.graph.node:
        if node.name.startswith("normalize/") and node.op_type in ("Sub", "Div"):
            assert {types[tensor] for tensor in [*node.input, *node.output]} == {TensorProto.FLOAT}


def test_layers_are_called_the_same_in_every_precision(deformable: Yolact) -> None:
    kinds = ("Conv", "Relu", "Add", "MaxPool", "Resize")
    names = [
        [(node.op_type, node.output[0]) for node in export(deformable, precision).graph.node if node.op_type in kinds]
        for precision in ("fp32", "fp16", "bf16")
    ]
    assert names[0] == names[1] == names[2] and len(names[0]) > 100


def test_full_precision_has_no_half_tensor(deformable: Yolact) -> None:
    proto = export(deformable, "fp32")
    assert not set(tensor_types(onnx.inliner.inline_local_functions(proto)).values()) & set(TYPES.values())
    assert sum(node.op_type == "Cast" for node in proto.graph.node) == 1  # of the pixels
    assert proto == export_model(deformable, LIMITS, weights_sha256="")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_the_file_says_its_precision(deformable: Yolact, precision: Precision) -> None:
    proto = export(deformable, precision)
    props = {entry.key: entry.value for entry in proto.metadata_props}
    assert ModelMetadata.from_props(props, "m.onnx").precision == precision
    assert proto.opset_import[0].version == (22 if precision == "bf16" else 17)
    for damaged in ({**props, "yolact.precision": "fp8"}, {k: v for k, v in props.items() if k != "yolact.precision"}):
        with pytest.raises(EngineError, match="damaged"):
            ModelMetadata.from_props(damaged, "m.onnx")


def test_weights_beyond_the_largest_half_are_counted(tiny_config: ModelConfig) -> None:
    model = seeded(tiny_config)
    with torch.no_grad():
        model.fpn.lat_layers[1].weight[3, :2] = 1e5
    with pytest.raises(AccuracyError, match=r"^2 of 4096 values of 'fpn.lat_layers.1.weight' are not finite in fp16"):
        verify_model(export(model, "fp16"), model, LIMITS, "full", [make_check_image()], None, "fp16")


def test_activations_beyond_the_largest_half_are_counted(tiny_config: ModelConfig) -> None:
    """Weights and heads have ordinary values, only what is between two layers does not fit."""
    model = seeded(tiny_config)
    with torch.no_grad():
        model.proto_net[0].weight *= 2**15
        model.proto_net[0].bias *= 2**15
        model.proto_net[2].weight *= 2**-15
    match = r"^[1-9]\d* of 51200 values of 'prototypes' are not finite in fp16"
    with pytest.raises(AccuracyError, match=match) as caught:
        verify_model(export(model, "fp16"), model, LIMITS, "full", [make_check_image()], None, "fp16")
    assert caught.value.exit_code == 3 and "bf16" in str(caught.value)
    verify_model(export(model, "bf16"), model, LIMITS, "full", [make_check_image()], None, "bf16")
