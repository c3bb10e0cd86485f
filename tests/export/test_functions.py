"""The ONNX bodies of `YolactFastNms` and `YolactMaskAssembly` against NumPy post-processing."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from packaging.version import Version

from yolact.export import functions
from yolact.export.graph_builder import GraphBuilder
from yolact.export.summary import OPSETS_OF_ONNX_RUNTIME
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import PLUGIN_NAMESPACE
from yolact.runtime.postprocess.mask_assembly import assemble_masks
from yolact.runtime.postprocess.nms import class_probabilities, decode_boxes, suppress

OUTPUTS = ("num_detections", "boxes", "scores", "classes", "masks")


def config_of(num_classes: int, image_size: int = 64) -> ModelConfig:
    """At 64 pixels 258 priors, which no whole number of groups holds, and prototypes 16x16."""
    return ModelConfig("test", "resnet50", image_size, tuple(f"c{i}" for i in range(num_classes)), num_coefficients=5)


def run(
    model: ModelConfig, config: PostprocessConfig, inputs: dict[str, np.ndarray], opset: int = 17
) -> dict[str, np.ndarray]:
    b = GraphBuilder(opset)
    nms_outputs = [*OUTPUTS[:4], "detection_coefficients"]
    nms_inputs = ("locations", "confidences", "coefficients", "priors")
    b.node(functions.FAST_NMS, *nms_inputs, outputs=nms_outputs, domain=PLUGIN_NAMESPACE)
    assembly_inputs = ("prototypes", "detection_coefficients", "boxes", "num_detections")
    b.node(functions.MASK_ASSEMBLY, *assembly_inputs, outputs=["masks"], domain=PLUGIN_NAMESPACE)
    value_info = onnx.helper.make_tensor_value_info
    shapes = {name: array.shape if name == "priors" else ["N", *array.shape[1:]] for name, array in inputs.items()}
    types = {"num_detections": onnx.TensorProto.INT32, "classes": onnx.TensorProto.INT32}
    graph = onnx.helper.make_graph(
        b.nodes,
        "post",
        [value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [value_info(name, types.get(name, onnx.TensorProto.FLOAT), None) for name in OUTPUTS],
    )
    proto = onnx.helper.make_model(
        graph,
        functions=[functions.fast_nms(model, config, opset), functions.mask_assembly(model, config, opset)],
        opset_imports=[onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(PLUGIN_NAMESPACE, 1)],
        ir_version=9,
    )
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return dict(zip(OUTPUTS, session.run(OUTPUTS, inputs), strict=True))


def random_inputs(model: ModelConfig, batch: int, seed: int) -> dict[str, np.ndarray]:
    """Boxes that overlap, scores that spread, about half of the priors candidates."""
    rng = np.random.default_rng(seed)
    shape = (batch, model.num_priors)
    confidences = rng.normal(0, 2, (*shape, model.num_classes + 1))
    confidences[..., 0] += rng.choice([2.0, 12.0], shape)
    return {
        "locations": rng.normal(0, 1, (*shape, 4)).astype(np.float32),
        "confidences": confidences.astype(np.float32),
        "coefficients": rng.uniform(-1, 1, (*shape, model.num_coefficients)).astype(np.float32),
        "priors": rng.uniform(0.05, 0.9, (model.num_priors, 4)).astype(np.float32),
        "prototypes": rng.gamma(1, 2, (batch, model.num_coefficients, *[model.prototype_size] * 2)).astype(np.float32),
    }


def tied_inputs(model: ModelConfig, batch: int, seed: int) -> dict[str, np.ndarray]:
    """Scores of exactly 1, 1/2, 1/3... and boxes on a coarse grid: equal scores, equal boxes, boxes without area and
    overlaps of exactly one half, all exact in float32."""
    inputs = random_inputs(model, batch, seed)
    rng = np.random.default_rng(seed)
    shape = (batch, model.num_priors)
    inputs["confidences"] = np.where(rng.random((*shape, model.num_classes + 1)) < 0.4, 0, -200).astype(np.float32)
    inputs["confidences"][..., 0] = 0
    inputs["locations"][:] = 0
    inputs["priors"] = (rng.integers([1, 1, 0, 0], [6, 6, 4, 4], (model.num_priors, 4)) / 4).astype(np.float32)
    return inputs


def assert_as_numpy(
    outputs: dict[str, np.ndarray], model: ModelConfig, config: PostprocessConfig, inputs: dict[str, np.ndarray]
) -> list[int]:
    """Same detections in the same order for every image; returns their counts."""
    for image, count in enumerate(outputs["num_detections"].ravel()):
        boxes = decode_boxes(inputs["locations"][image], inputs["priors"])
        kept = suppress(boxes, class_probabilities(inputs["confidences"][image]), model.image_size, config)
        assert count == len(kept.scores)
        np.testing.assert_array_equal(outputs["classes"][image, :count], kept.class_ids)
        np.testing.assert_allclose(outputs["scores"][image, :count], kept.scores, rtol=0, atol=1e-6)
        np.testing.assert_allclose(outputs["boxes"][image, :count], boxes[kept.prior_indices], rtol=0, atol=1e-5)
        coefficients = inputs["coefficients"][image, kept.prior_indices]
        masks = assemble_masks(inputs["prototypes"][image], coefficients, boxes[kept.prior_indices])
        np.testing.assert_allclose(outputs["masks"][image, :count], masks, rtol=0, atol=1e-5)
        for name in OUTPUTS[1:]:
            assert not outputs[name][image, count:].any(), name
    return outputs["num_detections"].ravel().tolist()


CONFIGS = {
    "defaults": PostprocessConfig(),
    "odd top-k": PostprocessConfig(top_k=37, max_detections=30),
    "top-k of all priors": PostprocessConfig(top_k=1000),
    "top-k of one": PostprocessConfig(top_k=1, max_detections=3),
    "fewer detections than classes": PostprocessConfig(top_k=50, max_detections=7),
    "one detection": PostprocessConfig(max_detections=1, nms_threshold=0.1),
    "more room than detections": PostprocessConfig(top_k=150, max_detections=400, nms_threshold=0.1),
    "no overlap allowed": PostprocessConfig(nms_threshold=0.0),
    "all overlap allowed": PostprocessConfig(nms_threshold=1.0),
    "cross-class": PostprocessConfig(nms="cross-class"),
    "cross-class, odd": PostprocessConfig(nms="cross-class", top_k=99, max_detections=50),
}


@pytest.mark.parametrize("make_inputs", [random_inputs, tied_inputs])
@pytest.mark.parametrize("num_classes", [3, 20])
@pytest.mark.parametrize("name", CONFIGS)
def test_detects_what_numpy_detects(name: str, num_classes: int, make_inputs: type) -> None:
    model, config = config_of(num_classes), CONFIGS[name]
    inputs = make_inputs(model, batch=3, seed=num_classes)
    counts = assert_as_numpy(run(model, config, inputs), model, config, inputs)
    assert min(counts) > 0


@pytest.mark.parametrize("make_inputs", [random_inputs, tied_inputs])
@pytest.mark.parametrize(("image_size", "top_k"), [(64, 7), (64, 16), (200, 3), (200, 50)])
def test_fewer_candidates_a_class_than_groups_of_priors(image_size: int, top_k: int, make_inputs: type) -> None:
    """Where the coarse step of the top-k leaves groups out."""
    model, config = config_of(3, image_size), PostprocessConfig(top_k=top_k, max_detections=min(30, 3 * top_k))
    inputs = make_inputs(model, batch=2, seed=top_k)
    assert model.num_priors / 16 > top_k
    assert min(assert_as_numpy(run(model, config, inputs), model, config, inputs)) > 0


def test_what_is_not_detected_need_not_be_finite() -> None:
    model, config = config_of(3), PostprocessConfig()
    inputs = random_inputs(model, 2, 5)
    inputs["confidences"][:, 100:, 0] = 60  # no candidates
    inputs["locations"][:, 100:] = 500  # exp of this overflows
    inputs["coefficients"][:, 100:] = np.nan
    assert min(assert_as_numpy(run(model, config, inputs), model, config, inputs)) > 0
    inputs["confidences"][:, :, 0] = 60
    assert assert_as_numpy(run(model, config, inputs), model, config, inputs) == [0, 0]


def test_one_class() -> None:
    model, config = config_of(1), PostprocessConfig()
    inputs = random_inputs(model, 2, 0)
    assert min(assert_as_numpy(run(model, config, inputs), model, config, inputs)) > 0


@pytest.mark.parametrize("opset", [18, 20, 22])
def test_later_opsets(opset: int) -> None:
    first = OPSETS_OF_ONNX_RUNTIME.get(opset)
    if first is not None and Version(onnxruntime.__version__) < Version(first):
        pytest.skip(f"this ONNX Runtime does not know opset {opset} -- pip install -U onnxruntime")
    model, config = config_of(3), PostprocessConfig()
    inputs = random_inputs(model, 2, 1)
    assert min(assert_as_numpy(run(model, config, inputs, opset), model, config, inputs)) > 0


def test_an_image_without_candidates_beside_one_with_too_many() -> None:
    model, config = config_of(3), PostprocessConfig(max_detections=10)
    inputs = random_inputs(model, 2, 2)
    inputs["confidences"][0, :, 0] = 50
    assert assert_as_numpy(run(model, config, inputs), model, config, inputs) == [0, 10]


def hand_made(model: ModelConfig, priors: list[list[float]], scores: list[float]) -> dict[str, np.ndarray]:
    """Candidates of one class with these boxes (cxcywh), nothing else."""
    inputs = random_inputs(model, 1, 3)
    inputs["confidences"][:] = [50, 0]
    inputs["confidences"][0, : len(scores), 0] = 0
    inputs["confidences"][0, : len(scores), 1] = scores
    inputs["locations"][:] = 0
    inputs["priors"][: len(priors)] = np.reshape(priors, (-1, 4))
    return inputs


@pytest.mark.parametrize(("width", "kept"), [(0.25, 2), (0.25 * (1 + 2e-5), 1), (0.25 * (1 - 2e-5), 2)])
def test_overlap_of_exactly_the_threshold(width: float, kept: int) -> None:
    """The second box covers half of the first and lies inside it."""
    model, config = config_of(1), PostprocessConfig(max_detections=5)
    inputs = hand_made(model, [[0.5, 0.5, 0.5, 0.25], [0.5, 0.5, width, 0.25]], [4, 3])
    assert assert_as_numpy(run(model, config, inputs), model, config, inputs) == [kept]


def test_score_of_exactly_the_threshold_is_no_candidate() -> None:
    model = config_of(1)
    inputs = hand_made(model, [[0.5, 0.5, 0.5, 0.25]], [0])  # softmax of two equal logits
    for threshold, count in ((0.5, 0), (0.4999, 1)):
        config = PostprocessConfig(max_detections=5, score_threshold=threshold)
        assert assert_as_numpy(run(model, config, inputs), model, config, inputs) == [count]


def test_every_group_of_priors_counts() -> None:
    """The best priors of a class lie in groups of their own: leaving one out loses a detection."""
    model, config = config_of(1), PostprocessConfig(top_k=12, max_detections=12, nms_threshold=1)
    inputs = hand_made(model, [], [])
    best = np.arange(12) * 16 + np.arange(12)
    inputs["confidences"][0, best] = np.stack([np.zeros(12), np.linspace(3, 5, 12)], axis=1)
    assert assert_as_numpy(run(model, config, inputs), model, config, inputs) == [12]


def test_boxes_without_area_suppress_each_other_but_not_the_first() -> None:
    model, config = config_of(1), PostprocessConfig(max_detections=5)
    boxes = [[0.2, 0.2, 0, 0], [0.8, 0.8, 0.02, 0.02], [0.2, 0.2, 0, 0], [0.5, 0.5, 0, 0.3]]
    inputs = hand_made(model, boxes, [4, 3, 2, 1])
    outputs = run(model, config, inputs)
    assert assert_as_numpy(outputs, model, config, inputs) == [2]


def test_boxes_beyond_the_image_keep_their_coordinates() -> None:
    model, config = config_of(1), PostprocessConfig()
    inputs = random_inputs(model, 1, 4)
    inputs["priors"][:, :2] = np.random.default_rng(4).uniform(-0.5, 1.5, (model.num_priors, 2))
    outputs = run(model, config, inputs)
    assert_as_numpy(outputs, model, config, inputs)
    assert outputs["boxes"].min() < 0 and outputs["boxes"].max() > 1


def test_the_call_and_the_body_declare_the_same_attributes() -> None:
    body = functions.fast_nms(config_of(3), PostprocessConfig(), 17)
    expected = {"plugin_namespace", "plugin_version", "score_threshold", "nms_threshold", "top_k"}
    expected |= {"max_detections", "cross_class", "centre_variance", "size_variance"}
    assert set(body.attribute) == expected
    for nms, value in (("fast", 0), ("cross-class", 1)):
        assert functions.fast_nms_attributes(PostprocessConfig(nms=nms))["cross_class"] == value


def test_names_inside_the_bodies_are_prefixed_and_no_operator_is_foreign() -> None:
    for body in (make(config_of(3), PostprocessConfig(), 17) for make in (functions.fast_nms, functions.mask_assembly)):
        outer = {*body.input, *body.output}
        inner = {name for node in body.node for name in node.output} - outer
        assert inner and all(name.startswith(f"{body.name}/") for name in inner)
        assert all(node.domain == "" for node in body.node)
        assert {name for node in body.node for name in node.input if name in body.input} == set(body.input)
