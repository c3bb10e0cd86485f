"""TensorRT for RTX parses exported files and builds them ahead of time, on a machine without a GPU.

That a plan runs is not shown here: running one takes a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from yolact.runtime.config import PostprocessConfig
from yolact.training.configs import CONFIGS

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (Linux x86-64: the rtx extra)")

LOGGER = trt.Logger(trt.Logger.ERROR)

CASES = {
    "yolact_resnet50": {},
    "yolact_plus_resnet50": {},
    "yolact_demo": {},
    "cross-class, fixed batch, opset 21": {"postprocess": {"nms": "cross-class"}, "batch": 2, "opset": 21},
    "raw": {"graph": "raw"},
    "inlined": {"inline_functions": True},
}


@pytest.mark.parametrize("name", CASES)
def test_builds_ahead_of_time_for_sm86(name: str, tmp_path: Path, export_seeded: Callable[..., Path]) -> None:
    options = dict(CASES[name])
    config = CONFIGS[name if name in CONFIGS else "yolact_resnet50"]
    postprocess = PostprocessConfig(**options.pop("postprocess", {}))
    path = export_seeded(config, tmp_path / "model.onnx", postprocess, **options)

    builder = trt.Builder(LOGGER)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, LOGGER)
    parsed = parser.parse(path.read_bytes())
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    outputs = {network.get_output(i).name: network.get_output(i) for i in range(network.num_outputs)}
    assert network.get_input(0).dtype == trt.DataType.UINT8
    if options.get("graph") == "raw":
        assert tuple(outputs["locations"].shape) == (-1, config.num_priors, 4)
    else:
        assert tuple(outputs["masks"].shape) == (options.get("batch", -1), 100, *[config.prototype_size] * 2)
        assert outputs["classes"].dtype == trt.DataType.INT32
        assert ("mask_scores" in outputs) == config.mask_rescoring

    settings = builder.create_builder_config()
    settings.num_compute_capabilities = 1
    settings.set_compute_capability(trt.ComputeCapability.SM86, 0)
    least, most = (options["batch"],) * 2 if "batch" in options else (1, 4)
    profile = builder.create_optimization_profile()
    profile.set_shape("images", *((batch, config.image_size, config.image_size, 3) for batch in (least, least, most)))
    settings.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, settings)
    assert plan is not None
    # A real plan holds the weights in float32, as the file does.
    assert plan.nbytes > 0.8 * path.stat().st_size
