"""What TensorRT for RTX makes of the roundings of an INT8 file: the layers of a plan built ahead of time.

A plan's inspector needs a GPU, the builder's verbose log has the same list.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import missing
import pytest
from seeded import seeded

from yolact.calib.qdq import insert_qdq_pairs
from yolact.calib.quantization_points import DEFAULT_MODULES, find_quantization_points
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig

trt = pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)


class Logger(trt.ILogger):
    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.lines: list[str] = []

    def log(self, severity: object, message: str) -> None:
        self.lines += message.splitlines()


class Layer(NamedTuple):
    """A kernel, by the name of each tensor that it reads or writes the tensor's type."""

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]


def read_layer(line: str) -> Layer:
    def tensors(text: str) -> dict[str, str]:
        return dict(re.findall(r"\{ Name: ([^,]+),.*?Datatype: (\w+)", text))

    name, _, rest = line.removeprefix("Name: ").partition(", LayerType: ")
    inputs, _, outputs = rest.partition("Outputs: ")
    return Layer(name, tensors(inputs.partition("Constants: ")[0]), tensors(outputs))


@pytest.fixture(scope="module")
def layers() -> list[Layer]:
    """Of a small MobileNetV2's plan, in INT8 by the defaults."""
    config = ModelConfig("m", "mobilenet_v2", 96, ("a", "b", "c"), fpn_channels=64)
    proto = export_model(
        seeded(config), PostprocessConfig(), weights_sha256="", precision="fp16", opset=19, graph="raw"
    )
    points = find_quantization_points(proto, DEFAULT_MODULES["tensorrt"], (), "tensorrt")
    ranges = {consumer: (0.0, 6.0) for consumers in points.activations for consumer in consumers}
    insert_qdq_pairs(proto, points, ranges, "tensorrt")
    logger = Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, logger).parse(proto.SerializeToString())
    options, profile = builder.create_builder_config(), builder.create_optimization_profile()
    options.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    options.num_compute_capabilities = 1
    options.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile.set_shape("images", *[(1, 96, 96, 3)] * 3)
    options.add_optimization_profile(profile)
    assert builder.build_serialized_network(network, options)
    return [read_layer(line) for line in logger.lines if re.match(r"Name: .*LayerType: ", line)]


@pytest.mark.parametrize("lateral", ["fpn.lat_layers.1", "fpn.lat_layers.2"])
def test_fpn_reads_the_rounding_of_the_backbones_next_block(layers: list[Layer], lateral: str) -> None:
    """One kernel after the convolution adds, rounds and, for FPN's fp16, goes back from what was rounded."""
    reader = next(layer for layer in layers if layer.name.startswith(f"{lateral}_"))
    read = next(iter(reader.inputs))
    maker = next(layer for layer in layers if read in layer.outputs)
    assert sorted(maker.outputs.values()) == ["Half", "Int8"] and reader.inputs[read] == "Half"
    assert re.search("Roun(Cast)+Mul_", maker.name), maker.name
    rounded = next(name for name, kind in maker.outputs.items() if kind == "Int8")
    others = [layer for layer in layers if rounded in layer.inputs]
    assert any(layer.name.startswith("backbone.") for layer in others)
    assert not any("Roun" in layer.name and read in layer.inputs for layer in layers)
