"""The ONNX files themselves: contract, modes, names, rejected options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from seeded import seeded

from yolact.export.onnx_model import export_model, strip_functions
from yolact.export.verify import verify_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import output_specs
from yolact.runtime.errors import AccuracyError, UsageError
from yolact.runtime.images.check_image import make_check_image
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact

LIMITS = PostprocessConfig(max_detections=20)


@pytest.fixture(scope="module")
def model(tiny_config: ModelConfig) -> Yolact:
    return seeded(tiny_config)


def run(proto: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


@pytest.mark.parametrize("graph", ["full", "raw"])
@pytest.mark.parametrize("batch", [None, 3])
def test_tensors_keep_the_contract(model: Yolact, graph: str, batch: int | None) -> None:
    proto = export_model(model, LIMITS, weights_sha256="", graph=graph, batch=batch)
    onnx.checker.check_model(proto, full_check=True)
    images = np.random.default_rng(0).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)
    outputs = run(proto, images)
    specs = output_specs(graph, model.config, LIMITS)
    assert list(outputs) == list(specs)
    for name, spec in specs.items():
        assert (outputs[name].dtype, outputs[name].shape) == (spec.dtype, (3, *spec.shape)), name
    declared = [dim.dim_value or dim.dim_param for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    assert declared == [batch or "N", 160, 160, 3]


def test_functions_are_called_from_the_top_with_the_plugins_attributes(model: Yolact) -> None:
    settings = PostprocessConfig(score_threshold=0.1, nms_threshold=0.4, top_k=50, max_detections=20)
    proto = export_model(model, settings, weights_sha256="")
    calls = {node.op_type: node for node in proto.graph.node if node.domain == "yolact"}
    assert set(calls) == {"YolactFastNms", "YolactMaskAssembly"} == {body.name for body in proto.functions}
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in calls["YolactFastNms"].attribute}
    assert attributes == {
        "plugin_namespace": b"yolact",
        "plugin_version": b"1",
        "score_threshold": pytest.approx(0.1),
        "nms_threshold": pytest.approx(0.4),
        "top_k": 50,
        "max_detections": 20,
        "cross_class": 0,
        "centre_variance": pytest.approx(0.1),
        "size_variance": pytest.approx(0.2),
    }
    assert {a.name: a.i for a in calls["YolactMaskAssembly"].attribute if a.type == a.INT} == {"crop_padding": 1}
    builtin = {schema.name for schema in onnx.defs.get_all_schemas()}
    assert not builtin & set(calls)
    for body in proto.functions:
        assert {(i.domain, i.version) for i in body.opset_import} == {("", proto.opset_import[0].version)}
        assert len(calls[body.name].input) == len(body.input) and all(calls[body.name].input)


def test_inlined_and_kept_functions_compute_the_same(model: Yolact) -> None:
    images = make_check_image()[None, :160, :160]
    kept = run(export_model(model, LIMITS, weights_sha256=""), images)
    inlined = export_model(model, LIMITS, weights_sha256="", inline_functions=True)
    assert not inlined.functions
    assert [entry.domain for entry in inlined.opset_import] == [""]
    assert all(node.domain == "" for node in inlined.graph.node)
    for name, array in run(inlined, images).items():
        np.testing.assert_allclose(array, kept[name], rtol=0, atol=1e-6)
    assert kept["num_detections"] > 0


def test_stripped_functions_leave_the_calls(model: Yolact) -> None:
    proto = export_model(model, LIMITS, weights_sha256="")
    strip_functions(proto)
    assert not proto.functions
    assert [node.op_type for node in proto.graph.node if node.domain] == ["YolactFastNms", "YolactMaskAssembly"]


@pytest.mark.parametrize("size", [256, 200])
def test_mobilenet_computes_the_same_and_keeps_its_names(size: int) -> None:
    model = seeded(replace(CONFIGS["yolact_demo"], image_size=size))
    proto = export_model(model, LIMITS, weights_sha256="")
    differences = verify_model(proto, model, LIMITS, "full", [make_check_image()], None).differences
    assert max(d.largest for d in differences) < 1e-4
    produced = {name for node in proto.graph.node for name in node.output}
    assert {"backbone.layers.0.1", "backbone.layers.2.1", "backbone.layers.6.2.conv.3", "fpn.lat_layers.0"} <= produced
    depthwise = [node for node in proto.graph.node if any(a.name == "group" and a.i > 1 for a in node.attribute)]
    assert len(depthwise) == 16


@pytest.fixture(scope="module")
def small_plus() -> Yolact:
    """YOLACT++ with deformable layers and mask scores."""
    config = replace(
        CONFIGS["yolact_plus_resnet50"].with_classes(("a", "b")),
        image_size=256,
        name="tiny plus",
        num_coefficients=8,
        fpn_channels=64,
    )
    return seeded(config)


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21, 22])
def test_every_opset_computes_the_same(small_plus: Yolact, opset: int) -> None:
    proto = export_model(small_plus, LIMITS, weights_sha256="", opset=opset)
    assert proto.opset_import[0].version == opset
    differences = verify_model(proto, small_plus, LIMITS, "full", [make_check_image()], None).differences
    assert {d.output for d in differences} >= {"locations", "prototypes", "boxes", "masks", "mask_scores"}
    assert max(d.largest for d in differences) < 2e-4


def test_layers_carry_the_names_of_the_modules(model: Yolact) -> None:
    proto = export_model(model, LIMITS, weights_sha256="")
    outputs = {name for node in proto.graph.node for name in node.output}
    wanted = ["backbone.layers.0.1", "backbone.layers.2.1", "fpn.lat_layers.0", "proto_net.8"]
    assert outputs >= {*wanted, "P3/prediction_layers.0.conf_layer"}  # the levels share the head's module
    features: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if name in wanted:
            module.register_forward_hook(lambda _m, _i, output, name=name: features.update({name: output}))
    image = np.ascontiguousarray(make_check_image()[None, :160, :160])
    with torch.inference_mode():
        model(model.normalize(torch.from_numpy(image)))
    for name in features:
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    found = run(proto, image)
    assert set(features) == set(wanted)
    for name, expected in features.items():
        # An activation in place overwrites what a hook saw: ReLU6 in the backbone, ReLU elsewhere.
        most = 6 if name == "backbone.layers.0.1" else np.inf
        ours = np.clip(found[name], 0, most) if (expected >= 0).all() else found[name]
        np.testing.assert_allclose(ours, expected.numpy(), rtol=0, atol=1e-4, err_msg=name)


def test_no_weight_is_stored_twice(model: Yolact) -> None:
    proto = export_model(model, LIMITS, weights_sha256="")
    large = [t.raw_data for t in proto.graph.initializer if len(t.raw_data) > 4096]
    assert len(set(large)) == len(large)


def test_image_size_changes_the_network_but_not_its_weights(model: Yolact) -> None:
    model = seeded(replace(model.config, image_size=201))
    proto = export_model(model, LIMITS, weights_sha256="")
    differences = verify_model(proto, model, LIMITS, "full", [make_check_image()], None).differences
    assert max(d.largest for d in differences) < 2e-4


REJECTED = {
    "old opset": ({"opset": 16}, {}, "opset must be 17 to"),
    "future opset": ({"opset": 999}, {}, "opset must be 17 to"),
    "empty batch": ({"batch": 0}, {}, "batch must be at least 1"),
    "traditional": ({}, {"nms": "traditional"}, "export a raw graph"),
    "more than TensorRT sorts": ({}, {"top_k": 4000}, "at most 3840"),
    "too many": ({}, {"top_k": 5, "max_detections": 16}, "at most 15 boxes enter NMS"),
    "too many across": ({}, {"nms": "cross-class", "max_detections": 201}, "at most 200 boxes enter NMS"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_options(model: Yolact, name: str) -> None:
    options, settings, message = REJECTED[name]
    with pytest.raises(UsageError, match=message):
        export_model(model, PostprocessConfig(**settings), weights_sha256="", **options)


def corrupt(proto: onnx.ModelProto, tensor: str) -> None:
    initializer = next(t for t in proto.graph.initializer if t.name == tensor)
    values = onnx.numpy_helper.to_array(initializer) + np.float32(0.05)
    initializer.CopyFrom(onnx.numpy_helper.from_array(values, tensor))


@pytest.mark.parametrize("tensor", ["backbone.layers.0.0.weight", "prediction_layers.0.bbox_layer.bias", "priors"])
def test_a_wrong_file_does_not_pass_the_check(model: Yolact, tensor: str) -> None:
    proto = export_model(model, LIMITS, weights_sha256="")
    corrupt(proto, tensor)
    with pytest.raises(AccuracyError, match="differs from PyTorch by"):
        verify_model(proto, model, LIMITS, "full", [make_check_image()], None)


@pytest.mark.parametrize("batch", [None, 2])
def test_post_processing_is_checked_where_the_image_holds_nothing(tiny_config: ModelConfig, batch: int | None) -> None:
    model = seeded(tiny_config)
    with torch.no_grad():
        model.prediction_layers[0].conf_layer.bias[:: tiny_config.num_classes + 1] += 50
    proto = export_model(model, LIMITS, weights_sha256="", batch=batch)
    assert (
        max(d.largest for d in verify_model(proto, model, LIMITS, "full", [make_check_image()], batch).differences)
        < 2e-4
    )
    corrupt(proto, "priors")
    with pytest.raises(AccuracyError):
        verify_model(proto, model, LIMITS, "full", [make_check_image()], batch)


def break_output(proto: onnx.ModelProto, name: str, operator: str, constant: np.ndarray) -> None:
    """Replace an output by itself combined with a constant."""
    producer = next(node for node in proto.graph.node if name in node.output)
    producer.output[list(producer.output).index(name)] = "original"
    for node in proto.graph.node:
        node.input[:] = ["original" if used == name else used for used in node.input]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(constant, "breaks"))
    proto.graph.node.append(onnx.helper.make_node(operator, ["original", "breaks"], [name]))


BROKEN = {
    "wrong class": ("classes", "Add", np.array(1, np.int32)),
    "wrong count": ("num_detections", "Sub", np.array(1, np.int32)),
    "wrong boxes": ("boxes", "Add", np.array(0.01, np.float32)),
    "something past the count": ("masks", "Max", np.array(0.001, np.float32)),
    "upside down": ("scores", "Mul", np.array(-1, np.float32)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_wrong_decisions_do_not_pass_the_check(model: Yolact, name: str) -> None:
    limits = PostprocessConfig(max_detections=300)
    proto = export_model(model, limits, weights_sha256="")
    break_output(proto, *BROKEN[name])
    with pytest.raises(AccuracyError):
        verify_model(proto, model, limits, "full", [make_check_image()], None)


def test_a_file_that_gives_nan_does_not_pass_the_check(model: Yolact) -> None:
    proto = export_model(model, LIMITS, weights_sha256="")
    bias = next(t for t in proto.graph.initializer if t.name == "proto_net.10.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(32, np.nan, np.float32), bias.name))
    with pytest.raises(AccuracyError):
        verify_model(proto, model, LIMITS, "full", [make_check_image()], None)


def test_exports_repeat_byte_for_byte(
    tiny_config: ModelConfig, tmp_path: Path, export_seeded: Callable[..., Path], tiny_engine: Path
) -> None:
    again = export_seeded(tiny_config, tmp_path / "again.onnx", LIMITS)
    assert again.read_bytes() == tiny_engine.read_bytes()
