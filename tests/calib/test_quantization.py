"""Where networks are quantised, and what becomes of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from seeded import seeded

from yolact.calib.qdq import Ranges, insert_qdq_pairs
from yolact.calib.quantization_points import (
    DEFAULT_MODULES,
    MODULES,
    Consumer,
    Platform,
    QuantizationPoints,
    find_quantization_points,
    layer_names,
)
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import AccuracyError, UsageError
from yolact.runtime.metadata import Precision

LIMITS = PostprocessConfig(max_detections=20)
CONFIGS = {
    "resnet50": ModelConfig("r", "resnet50", 96, ("a", "b", "c")),
    "darknet53": ModelConfig("d", "darknet53", 96, ("a", "b", "c")),
    "mobilenet_v2": ModelConfig("m", "mobilenet_v2", 96, ("a", "b", "c"), fpn_channels=64),
    "plus": ModelConfig("p", "resnet50", 256, ("a", "b"), deformable_interval=3, mask_rescoring=True),
}
PLATFORMS: list[Platform] = ["tensorrt", "cpu"]


@pytest.fixture(scope="module", params=CONFIGS)
def proto(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return export_model(seeded(CONFIGS[request.param]), LIMITS, weights_sha256="")


@pytest.fixture(scope="module")
def resnet() -> onnx.ModelProto:
    return export_model(seeded(CONFIGS["resnet50"]), LIMITS, weights_sha256="")


def quantised(
    proto: onnx.ModelProto, points: QuantizationPoints, ranges: Ranges, platform: Platform
) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    insert_qdq_pairs(copy, points, ranges, platform)
    return copy


def wide(points: QuantizationPoints, low: float = -4.0, high: float = 12.0) -> Ranges:
    return {consumer: (low, high) for consumers in points.activations for consumer in consumers}


READ_WHAT_INT8_MAKES = ("fpn.lat_layers.1", "fpn.lat_layers.2")
"""Convolutions of FPN that read C4 and C3, which the backbone's next blocks read too. C5 is read by nobody else."""


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("modules", [*DEFAULT_MODULES.values()], ids=len)
def test_chosen_convolutions_read_rounded_tensors_and_no_others(
    proto: onnx.ModelProto, modules: tuple[str, ...], platform: Platform
) -> None:
    points = find_quantization_points(proto, modules, (), platform)
    after = quantised(proto, points, wide(points), platform)
    onnx.checker.check_model(after, full_check=True)
    prefixes = tuple(MODULES[module] for module in modules)
    weights = {node.name: node.input[1] for node in proto.graph.node if node.op_type == "Conv"}
    for node in after.graph.node:
        if node.op_type != "Conv":
            continue
        weight = weights[node.name]  # of deformable convolutions, which stay, it is another form of the weights
        chosen = weight.startswith(prefixes) and weight.endswith(".weight") and "offset_mask" not in weight
        if platform == "tensorrt" and any(one.name == "group" and one.i > 1 for one in node.attribute):
            chosen = False  # depthwise
        reads_rounded = chosen or node.name in READ_WHAT_INT8_MAKES
        assert [name.endswith(".dequantized") for name in node.input[:2]] == [reads_rounded, chosen], node.name
        if len(node.input) == 3:
            assert node.input[2].endswith(".dequantized") == (chosen and platform == "cpu")
    assert not [node.name for node in after.graph.node if "offset_mask" in node.name and "quantize" in node.name]
    made = {name for node in after.graph.node for name in node.output}
    assert {name for node in proto.graph.node for name in node.output} <= made  # layers keep their names
    assert [output.name for output in after.graph.output] == [output.name for output in proto.graph.output]


def unrounded_readers(proto: onnx.ModelProto, points: QuantizationPoints) -> dict[str, set[str]]:
    """By tensor those that read it as it is, though others read it rounded."""
    rounded = {consumer for consumers in points.activations for consumer in consumers}
    reads = [(Consumer(node.name, at), tensor) for node in proto.graph.node for at, tensor in enumerate(node.input)]
    tensors = {tensor for consumer, tensor in reads if consumer in rounded}
    found: dict[str, set[str]] = {}
    for consumer, tensor in reads:
        if tensor in tensors and consumer not in rounded:
            found.setdefault(tensor, set()).add(consumer.node)
    return found


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_int8_makes_is_rounded_for_all_convolutions(proto: onnx.ModelProto, platform: Platform) -> None:
    """P3 comes out of a convolution of FPN: the head reads it unrounded where FPN is not in INT8, else rounded too.

    FPN's enlarging reads nothing rounded for TensorRT, as before.
    """
    tops = ("fpn.lat_layers.0", "fpn.lat_layers.1.merged")
    enlarging = {top: {f"{top}.resized"} for top in tops} if platform == "tensorrt" else {}
    head = {"fpn.pred_layers.2.relu": {"P3/prediction_layers.0.upfeature.0"}}
    for modules in (DEFAULT_MODULES["tensorrt"], ("backbone", "fpn", "protonet"), tuple(MODULES)):
        points = find_quantization_points(proto, modules, (), platform)
        assert unrounded_readers(proto, points) == (enlarging if "fpn" in modules else head)


@pytest.mark.parametrize(
    ("exclude", "tensor", "reader"),
    [
        ("fpn.lat_layers.1", "backbone.layers.2.5", "fpn.lat_layers.1"),  # asked to be left alone
        ("backbone.layers.2.5.conv3", "backbone.layers.2.5", "fpn.lat_layers.1"),  # so it is not made in INT8
        ("backbone.layers.3.0.downsample.0", "backbone.layers.2.5", "backbone.layers.3.0.downsample.1"),
    ],
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_excluded_shares_nothing(
    resnet: onnx.ModelProto, exclude: str, tensor: str, reader: str, platform: Platform
) -> None:
    points = find_quantization_points(resnet, DEFAULT_MODULES["tensorrt"], [exclude], platform)
    assert reader in unrounded_readers(resnet, points)[tensor]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_sums_round_the_shortcut_and_for_a_cpu_both(resnet: onnx.ModelProto, platform: Platform) -> None:
    points = find_quantization_points(resnet, ["backbone"], (), platform)
    after = quantised(resnet, points, wide(points), platform)
    sums = [node for node in after.graph.node if node.op_type == "Add" and node.name.startswith("backbone.")]
    assert len(sums) == 16
    for node in sums:
        rounded = [name.endswith(".dequantized") for name in node.input]
        assert rounded == ([True, True] if platform == "cpu" else [False, True])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_points_are_the_same_in_every_precision(resnet: onnx.ModelProto, precision: Precision) -> None:
    opset = 22 if precision == "bf16" else 19
    other = export_model(seeded(CONFIGS["resnet50"]), LIMITS, weights_sha256="", precision=precision, opset=opset)
    for platform in PLATFORMS:
        points = find_quantization_points(other, MODULES, (), platform)
        assert points == find_quantization_points(resnet, MODULES, (), platform)
        onnx.checker.check_model(quantised(other, points, wide(points), platform), full_check=True)


@pytest.mark.parametrize(("modules", "sums"), [(tuple(MODULES), 16 + 2), (DEFAULT_MODULES["tensorrt"], 16 - 1)])
def test_on_a_cpu_every_chosen_convolution_computes_in_int8(
    modules: tuple[str, ...], sums: int, tmp_path: Path
) -> None:
    """ONNX Runtime fuses it only where its result is rounded too: all but Protonet's last, which is an output.

    The sums are the backbone's and FPN's. Without FPN the backbone's last is read by nobody who reads it rounded.
    """
    raw = export_model(seeded(CONFIGS["resnet50"]), LIMITS, weights_sha256="", graph="raw")
    points = find_quantization_points(raw, modules, (), "cpu")
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    settings.log_severity_level = 4
    after = quantised(raw, points, wide(points, 0.0, 6.0), "cpu")
    onnxruntime.InferenceSession(after.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] == len(points.convolutions) - 1
    assert kinds["QLinearAdd"] == sums


def test_points_of_tensorrt_are_among_those_of_a_cpu(proto: onnx.ModelProto) -> None:
    cpu, tensorrt = (find_quantization_points(proto, MODULES, (), platform) for platform in ("cpu", "tensorrt"))
    assert set(tensorrt.convolutions) <= set(cpu.convolutions)
    of_cpu = {consumer for consumers in cpu.activations for consumer in consumers}
    assert {consumer for consumers in tensorrt.activations for consumer in consumers} < of_cpu


def test_each_tensor_is_rounded_once(proto: onnx.ModelProto) -> None:
    points = find_quantization_points(proto, MODULES, (), "cpu")
    after = quantised(proto, points, wide(points), "cpu")
    sources = Counter(node.input[0] for node in after.graph.node if node.op_type == "QuantizeLinear")
    assert set(sources.values()) == {1}


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        (["proto_net"], "proto_net."),
        (["backbone.layers.3"], "backbone.layers.3."),
        (["backbone.layers.0.1.conv2"], "backbone.layers.0.1.conv2"),
        (["backbone.layers.0.1.bn2"], "backbone.layers.0.1.conv2"),  # by its output's name
        (["prediction_layers.0.conf_layer"], "prediction_layers.0.conf_layer"),
    ],
)
def test_excluded_layers_stay(resnet: onnx.ModelProto, exclude: list[str], gone: str) -> None:
    everything = layer_names(resnet, find_quantization_points(resnet, MODULES, (), "cpu"))
    left = layer_names(resnet, find_quantization_points(resnet, MODULES, exclude, "cpu"))
    assert set(everything) - set(left) == {name for name in everything if name.startswith(gone)} != set()


@pytest.mark.parametrize(
    ("modules", "exclude", "match"),
    [
        (["neck"], [], "the modules are backbone, fpn, protonet, head, got neck"),
        (["backbone"], ["layers.0"], "--exclude layers.0: no layer has this name"),
        (["backbone"], ["backbone.layers.0.1.conv"], "no layer has this name"),  # up to a dot
        (["protonet"], ["proto_net"], "nothing is left to quantise"),
        ([], [], "nothing is left to quantise"),
    ],
)
def test_rejects(resnet: onnx.ModelProto, modules: list[str], exclude: list[str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        find_quantization_points(resnet, modules, exclude, "tensorrt")


def test_weights_are_rounded_per_channel(resnet: onnx.ModelProto) -> None:
    """By hand: the nearest of 255 steps of each output channel."""
    original = {tensor.name: numpy_helper.to_array(tensor) for tensor in resnet.graph.initializer}
    points = find_quantization_points(resnet, MODULES, (), "cpu")
    after = quantised(resnet, points, wide(points), "cpu")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    for layer in layer_names(resnet, points):
        weight = original[f"{layer}.weight"]
        assert f"{layer}.weight" not in stored
        rounded, scale = stored[f"{layer}.weight.rounded"], stored[f"{layer}.weight.scale"]
        assert rounded.dtype == np.int8 and rounded.min() >= -127
        for channel in range(len(weight)):
            step = np.abs(weight[channel]).max() / 127
            assert scale[channel] == pytest.approx(step, rel=1e-5)
            assert np.abs(rounded[channel] * scale[channel] - weight[channel]).max() <= step / 2 * (1 + 1e-4)
    assert after.ByteSize() < 0.3 * resnet.ByteSize()


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.5, 6.0), (-6.0, -2.0), (2.0, 6.0), (0.0, 1e-9)])
def test_activations_are_rounded_to_steps_of_the_range(
    resnet: onnx.ModelProto, low: float, high: float, platform: Platform
) -> None:
    """Zero is exact, what lies in the range is half a step off at most, what is beyond is clipped."""
    points = find_quantization_points(resnet, ["protonet"], (), platform)
    after = quantised(resnet, points, wide(points, low, high), platform)
    node = next(node for node in after.graph.node if node.op_type == "QuantizeLinear" and "weight" not in node.name)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    scale, zero = (stored[name] for name in node.input[1:])
    assert zero.dtype == (np.uint8 if platform == "cpu" else np.int8)
    values = np.linspace(min(low, 0), max(high, 0), 1000, dtype=np.float32)
    info = np.iinfo(zero.dtype)
    rounded = (np.clip(np.rint(values / scale) + zero, info.min, info.max) - zero) * scale
    span = max(high, 0) - min(low, 0) if platform == "cpu" else 2 * max(-low, high, 0)
    assert np.abs(rounded - values).max() <= max(span / (255 if platform == "cpu" else 254), 1e-6) * 0.51 + 1e-6
    if platform == "tensorrt":
        assert zero == 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_fitting_ranges_change_little(resnet: onnx.ModelProto, platform: Platform) -> None:
    """And ranges much too small a lot."""
    raw = export_model(seeded(CONFIGS["resnet50"]), LIMITS, weights_sha256="", graph="raw")
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    points = find_quantization_points(raw, DEFAULT_MODULES["tensorrt"], (), platform)
    tensors = [_tensor(raw, consumers[0].node, consumers[0].position) for consumers in points.activations]
    probed = onnx.ModelProto()
    probed.CopyFrom(raw)
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    values = _run(probed, images)[4:]
    ranges = {
        consumer: (v.min(), v.max())
        for consumers, v in zip(points.activations, values, strict=True)
        for consumer in consumers
    }
    expected = _run(raw, images)
    errors = []
    for factor in (1.0, 0.05):
        shrunk = {consumer: (low * factor, high * factor) for consumer, (low, high) in ranges.items()}
        found = _run(quantised(raw, points, shrunk, platform), images)
        errors.append([np.sqrt(np.mean((f - e) ** 2) / np.mean(e**2)) for f, e in zip(found, expected, strict=True)])
    assert max(errors[0]) < 0.35 and min(errors[0]) > 1e-3
    assert all(small > 3 * fitting for fitting, small in zip(*errors, strict=True))


@pytest.mark.parametrize(("limits", "what"), [((np.nan, np.nan), "are not finite"), ((0.0, 0.0), "are all zero")])
def test_ranges_that_are_none_name_the_tensor(resnet: onnx.ModelProto, limits: tuple[float, float], what: str) -> None:
    """Only where they are needed."""
    points = find_quantization_points(resnet, ["backbone"], (), "cpu")
    with_hole = wide(find_quantization_points(resnet, MODULES, (), "cpu")) | {points.activations[3][0]: limits}
    tensor = _tensor(resnet, points.activations[3][0].node, points.activations[3][0].position)
    with pytest.raises(AccuracyError, match=f"values of '{tensor}' {what}"):
        quantised(resnet, points, with_hole, "cpu")
    others = find_quantization_points(resnet, ["protonet"], (), "cpu")
    quantised(resnet, others, with_hole, "cpu")


def test_fp16_scales_never_clip(resnet: onnx.ModelProto) -> None:
    """Rounded up, tiny ones too."""
    proto = export_model(seeded(CONFIGS["resnet50"]), LIMITS, weights_sha256="", precision="fp16", opset=19)
    points = find_quantization_points(proto, ["protonet"], (), "tensorrt")
    for high in (6.0, 0.1, 3.1e-5, 1e-4):
        after = quantised(proto, points, wide(points, 0.0, high), "tensorrt")
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
        scales = [v for n, v in stored.items() if n.endswith(".scale") and "weight" not in n]
        assert scales and all(float(scale) * 127 >= high * (1 - 1e-6) for scale in scales)


def _tensor(proto: onnx.ModelProto, node: str, position: int) -> str:
    return next(one for one in proto.graph.node if one.name == node).input[position]


def _run(proto: onnx.ModelProto, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})
