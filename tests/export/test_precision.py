"""Exports in half precision: what is half and what stays float32, how close the result is, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from seeded import seeded

from yolact.export.comparison import count_found_again
from yolact.export.half_emulation import emulate_half
from yolact.export.onnx_model import export_model
from yolact.export.verify import verify_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import INPUT_NAME, output_specs
from yolact.runtime.errors import AccuracyError, UsageError
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.metadata import Precision
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.training.models.model import Yolact

LIMITS = PostprocessConfig(max_detections=20)
HALF: dict[Precision, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
CLASSES = ("person", "dog", "kite")

CONFIGS = {
    "darknet53": ModelConfig("tiny", "darknet53", 96, CLASSES),
    "mobilenet_v2": ModelConfig("tiny", "mobilenet_v2", 96, CLASSES, fpn_channels=64, num_coefficients=16),
    "plus": ModelConfig("tiny", "resnet50", 256, CLASSES, deformable_interval=3, mask_rescoring=True),
}


@cache
def network(name: str) -> Yolact:
    return seeded(CONFIGS[name])


@cache
def exported(name: str, precision: Precision) -> onnx.ModelProto:
    """A full graph, for all tests that only read it."""
    return export_model(network(name), LIMITS, weights_sha256="", precision=precision)


@pytest.fixture(scope="module")
def model() -> Yolact:
    return network("mobilenet_v2")


def types_of(proto: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor, functions inlined."""
    inlined = onnx.inliner.inline_local_functions(proto)
    graph = onnx.shape_inference.infer_shapes(inlined, strict_mode=True).graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    return {info.name: info.type.tensor_type.elem_type for info in infos} | {
        tensor.name: tensor.data_type for tensor in graph.initializer
    }


FULL_PRECISION = {"Softmax", "Tanh", "Exp", "GridSample", "TopK", "Greater", "Less", "Div"}


NETWORKS: list[tuple[str, Precision]] = [("darknet53", "fp16"), ("mobilenet_v2", "bf16"), ("plus", "fp16")]


@pytest.mark.parametrize(("name", "precision"), NETWORKS)
def test_types(name: str, precision: Precision) -> None:
    config = CONFIGS[name]
    proto = exported(name, precision)
    onnx.checker.check_model(proto, full_check=True)
    types = types_of(proto)
    nodes = onnx.inliner.inline_local_functions(proto).graph.node
    half = HALF[precision]
    for node in nodes:
        if node.op_type in ("Conv", "MatMul"):
            assert {types[x] for x in (*node.input, *node.output)} == {half}, node.name
        if node.op_type in FULL_PRECISION or (node.op_type == "Sigmoid" and "proto" not in node.name):
            assert half not in {types[x] for x in (*node.input, *node.output)}, node.name
    counts = [sum(node.op_type == kind for node in nodes) for kind in ("Conv", "MatMul", "Softmax", "GridSample")]
    assert counts[:3] == [counts[0], 1, 1] and (counts[3] > 0) == (name == "plus")
    assert types[INPUT_NAME] == TensorProto.UINT8
    for output, spec in output_specs("full", config, LIMITS).items():
        assert types[output] == helper.np_dtype_to_tensor_dtype(spec.dtype), output
    # What the plugins read: half the bytes.
    for tensor in (*output_specs("raw", config, LIMITS), "detection_coefficients"):
        assert types[tensor] == half, tensor


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("options", [{"graph": "raw"}, {"batch": 2}, {"inline_functions": True}], ids=str)
def test_other_forms_have_the_same_types(model: Yolact, precision: Precision, options: dict[str, Any]) -> None:
    full = types_of(exported("mobilenet_v2", precision))
    other = types_of(export_model(model, LIMITS, weights_sha256="", precision=precision, **options))
    shared = other.keys() & full.keys()
    if options == {"graph": "raw"}:  # heads that leave the graph are float32
        heads = output_specs("raw", model.config, LIMITS).keys()
        assert {other[name] for name in heads} == {TensorProto.FLOAT}
        shared -= heads
    assert {name: full[name] for name in shared} == {name: other[name] for name in shared}
    assert HALF[precision] in other.values()


@pytest.mark.parametrize(("name", "precision"), NETWORKS[1:])
def test_layers_read_what_they_read_in_float32(name: str, precision: Precision) -> None:
    """INT8 is calibrated in float32 whatever the precision of the file, so nothing may move from one layer to another:
    the graphs are the same but for casts, and so are the weights but for rounding."""
    model = network(name)
    exact, half = (
        onnx.inliner.inline_local_functions(export_model(model, LIMITS, weights_sha256="", graph="raw", precision=kind))
        for kind in ("fp32", precision)
    )
    operators = [[node.op_type for node in proto.graph.node if node.op_type != "Cast"] for proto in (exact, half)]
    assert [kind for kind in operators[1] if kind != "Identity"] == [
        kind for kind in operators[0] if kind != "Identity"
    ]
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in half.graph.initializer}
    compared = 0
    for tensor in exact.graph.initializer:
        if tensor.name.endswith(".weight"):
            rounded = weights[tensor.name].astype(np.float32)
            assert np.allclose(rounded, numpy_helper.to_array(tensor), rtol=8e-3, atol=1e-6), tensor.name
            compared += 1
    assert compared > 20


def test_files_hold_half_the_bytes(model: Yolact) -> None:
    sizes = {
        precision: export_model(model, LIMITS, weights_sha256="", graph="raw", precision=precision).ByteSize()
        for precision in ("fp32", "fp16", "bf16")
    }
    assert sizes["fp16"] / sizes["fp32"] == pytest.approx(0.5, abs=0.01)
    assert sizes["bf16"] / sizes["fp16"] == pytest.approx(1, abs=0.01)


def test_onnxruntime_runs_fp16(model: Yolact, photos: list[np.ndarray], tmp_path: Path) -> None:
    """Its CPU provider computes in float32 between casts: close to the float32 file, and finding the same."""
    from yolact.runtime.detector import Detector

    found = {}
    for precision in ("fp32", "fp16"):
        onnx.save(export_model(model, LIMITS, weights_sha256="", precision=precision), tmp_path / "a.onnx")
        with Detector.open(tmp_path / "a.onnx") as detector:
            found[precision] = detector(photos)
            assert detector.metadata.precision == precision
    for full, half in zip(found["fp32"], found["fp16"], strict=True):
        assert len(full) == len(half) == 20
        np.testing.assert_allclose(half.scores, full.scores, atol=0.01)


@pytest.mark.parametrize(("name", "precision"), NETWORKS)
def test_is_close_to_pytorch_on_photos(name: str, precision: Precision, photos: list[np.ndarray]) -> None:
    result = verify_model(exported(name, precision), network(name), LIMITS, "full", photos[1:], None, precision)
    by_name = {difference.output: difference.largest for difference in result.differences}
    smallest = {"fp16": 1e-4, "bf16": 1e-3}[precision]  # the rounding was there
    assert all(by_name[head] > smallest for head in ("locations", "confidences", "prototypes"))
    assert result.confident > 0 or name == "darknet53"  # which scores low on photos with made-up weights
    assert result.found_again >= 0.9 * result.confident


def by_hand(weight: np.ndarray, image: np.ndarray, half: np.dtype[Any]) -> np.ndarray:
    """What `small_network` computes, in PyTorch: float32 sums of half numbers, rounded after every step."""

    def rounded(array: torch.Tensor) -> torch.Tensor:
        dtype = torch.float16 if half == np.float16 else torch.bfloat16
        return array.to(dtype).float()

    x, w = rounded(torch.from_numpy(image)), rounded(torch.from_numpy(weight))
    for _ in range(3):
        x = rounded(torch.nn.functional.conv2d(x, w, padding=1))
        x = rounded(torch.relu(x))
    return x.numpy()


def small_network(weight: np.ndarray, half: np.dtype[Any]) -> onnx.ModelProto:
    dtype = helper.np_dtype_to_tensor_dtype(half)
    nodes = [helper.make_node("Cast", ["x"], ["h0"], to=dtype)]
    for i in range(3):
        nodes.append(helper.make_node("Conv", [f"h{i}", "w"], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"h{i + 1}"]))
    nodes.append(helper.make_node("Cast", ["h3"], ["y"], to=TensorProto.FLOAT))
    shape = [1, len(weight), 7, 9]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weight.astype(half), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


@pytest.mark.parametrize("half", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)], ids=str)
def test_emulation_rounds_after_every_operator(half: np.dtype[Any]) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 0.2, (4, 4, 3, 3)).astype(np.float32)
    image = rng.normal(0, 1, (1, 4, 7, 9)).astype(np.float32)
    session = onnxruntime.InferenceSession(emulate_half(small_network(weight, half)).SerializeToString())
    found = session.run(["y"], {"x": image})[0]
    expected = by_hand(weight, image, half)
    unit = 2.0 ** -(10 if half == np.float16 else 7)
    exact = torch.from_numpy(image)
    for _ in range(3):
        exact = torch.relu(torch.nn.functional.conv2d(exact, torch.from_numpy(weight), padding=1))
    # Sums of another order may round to the neighbour; leaving the roundings out would be much further off.
    assert np.abs(found - expected).max() <= 2 * unit * np.abs(expected).max()
    assert np.mean(found == expected) > 0.9
    assert np.mean(found == exact.numpy()) < 0.7 and np.array_equal(found, found.astype(half).astype(np.float32))


def test_emulation_overflows_where_fp16_does() -> None:
    """Both weights fit, their product with the image does not, and what comes after would hide it again."""
    image = np.full((1, 1, 7, 9), 300, np.float32)
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1, 1] = 300
    found = {}
    for half in (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)):
        session = onnxruntime.InferenceSession(emulate_half(small_network(kernel, half)).SerializeToString())
        found[str(half)] = session.run(["y"], {"x": image})[0]
    assert not np.isfinite(found["float16"]).any()
    assert np.isfinite(found["bfloat16"]).all()


def change(proto: onnx.ModelProto, tensor: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
    initializer = next(t for t in proto.graph.initializer if t.name == tensor)
    values = numpy_helper.to_array(initializer)
    initializer.CopyFrom(numpy_helper.from_array(function(values.copy()).astype(values.dtype), tensor))


REFUSED = {
    "weights shifted": ("backbone.layers.0.0.weight", lambda w: w + w.dtype.type(0.05), "differs from PyTorch by"),
    "a wrong bias": ("prediction_layers.0.bbox_layer.bias", lambda b: b + b.dtype.type(0.5), "'locations' differs"),
    "weights too large": (
        "fpn.lat_layers.0.weight",
        lambda w: w * np.float32(1e9),
        r"\d+ of \d+ values of 'fpn.lat_layers.0.weight' are not finite in fp16; nothing was written, try --bf16",
    ),
    "activations too large": (
        "proto_net.10.bias",
        lambda b: np.full_like(b, 65504) if b.ndim else b,
        "of 'prototypes' are not finite in fp16|'prototypes' differs",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_half_files_do_not_pass(model: Yolact, name: str) -> None:
    tensor, function, message = REFUSED[name]
    proto = export_model(model, LIMITS, weights_sha256="", precision="fp16")
    with np.errstate(over="ignore"):
        change(proto, tensor, function)
    with pytest.raises(AccuracyError, match=message):
        verify_model(proto, model, LIMITS, "full", [make_check_image()], None, "fp16")


def test_activations_that_overflow_are_counted() -> None:
    """Weights that fit fp16 and lead beyond it: what the float32 network computes is fine, and so is bf16."""
    model = seeded(CONFIGS["mobilenet_v2"])
    with torch.no_grad():
        model.proto_net[8].weight *= 3e3
        model.proto_net[10].weight *= 50
    image = make_check_image()
    proto = export_model(model, LIMITS, weights_sha256="", graph="raw", precision="fp16")
    with pytest.raises(AccuracyError, match=r"\d+ of 9216 values of 'prototypes' are not finite in fp16"):
        verify_model(proto, model, LIMITS, "raw", [image], None, "fp16")
    proto = export_model(model, LIMITS, weights_sha256="", graph="raw", precision="bf16")
    verify_model(proto, model, LIMITS, "raw", [image], None, "bf16")


def test_the_worst_of_several_images_counts(model: Yolact, photos: list[np.ndarray]) -> None:
    photos, proto = photos[:2], exported("mobilenet_v2", "fp16")
    each = [verify_model(proto, model, LIMITS, "full", [photo], None, "fp16") for photo in photos]
    both = verify_model(proto, model, LIMITS, "full", photos, None, "fp16")
    for index, difference in enumerate(both.differences):
        assert difference.largest == max(one.differences[index].largest for one in each)
    assert both.confident == sum(one.confident for one in each) > 0
    assert both.found_again == sum(one.found_again for one in each)


@pytest.mark.parametrize("opset", [16, 17, 21, 99])
def test_bf16_needs_a_recent_opset(model: Yolact, opset: int) -> None:
    with pytest.raises(UsageError, match=rf"opset must be 22 to \d+ for bf16 .*, got {opset}"):
        export_model(model, LIMITS, weights_sha256="", precision="bf16", opset=opset)


def detections(boxes: list[list[float]], classes: list[int], scores: list[float]) -> NetworkDetections:
    count = len(scores)
    return NetworkDetections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int32),
        np.zeros((count, 2, 2), np.float32),
    )


def test_what_counts_as_found_again() -> None:
    unit, half, far = [0, 0, 1, 1], [0, 0, 1, 0.49], [2, 2, 3, 3]
    expected = detections([unit, unit, far, far], [0, 1, 0, 0], [0.9, 0.8, 0.7, 0.2])  # the last scores too low
    cases = {
        "all": ([unit, unit, far], [0, 1, 0], 3),
        "none": ([], [], 0),
        "another class": ([unit, unit, far], [2, 1, 2], 1),
        "too little overlap": ([half, unit, far], [0, 1, 0], 2),
        "one cannot be found twice": ([unit], [0], 1),
        "in another order": ([far, unit, unit], [0, 1, 0], 3),
    }
    for name, (boxes, classes, again) in cases.items():
        found = detections(boxes, classes, [0.5] * len(boxes))
        assert count_found_again(found, expected) == (again, 3), name
