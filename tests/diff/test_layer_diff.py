"""Heads and layers of two networks, and which of them error starts at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import missing
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from yolact.runtime.contract import HEADS

pytest.importorskip("polygraphy", reason=missing.POLYGRAPHY)

from diff_networks import CONFIG, POSTPROCESS, damage, export, lively_state, network

from yolact.diff.comparability import check_comparable, share_settings, shared_names
from yolact.diff.engine_diff import _check_runtime
from yolact.diff.images import DiffImage
from yolact.diff.polygraphy_comparator import compare_tensors
from yolact.diff.sides import TorchSide, open_sides
from yolact.diff.tensor_diff import SUSPICIOUS, TensorDiff, first_suspect
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.engine import EngineOptions
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor

DAMAGED = "backbone.layers.3.1.conv.0.0"
DAMAGED_LAYER = "backbone.layers.3.1.conv.0.1"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full graph of `CONFIG`, of which the others here are variants."""
    return export(tmp_path_factory.mktemp("engine") / "small.onnx")


@pytest.fixture(scope="module")
def batches(photos: list[Image]) -> list[Image]:
    """Two images, one at a time."""
    preprocess = Preprocessor(CONFIG.image_size)
    return [preprocess([photo]) for photo in photos[:2]]


def quantise(source: Path, target: Path, images: Image) -> Path:
    """Every convolution with 8-bit weights and inputs by QuantizeLinear/DequantizeLinear, in the plainest way."""
    proto = onnx.load(source)
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    inputs = list(dict.fromkeys(node.input[0] for node in convolutions))
    seen = onnx.ModelProto()
    seen.CopyFrom(proto)
    seen.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inputs)
    session = onnxruntime.InferenceSession(seen.SerializeToString(), providers=["CPUExecutionProvider"])
    largest = {
        name: np.abs(array).max() for name, array in zip(inputs, session.run(inputs, {"images": images}), strict=True)
    }
    zero = numpy_helper.from_array(np.int8(0), "int8.zero")
    proto.graph.initializer.append(zero)
    for name, value in largest.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.float32(value / 127), f"{name}.scale"))
    nodes = list(proto.graph.node)
    for name in inputs:
        at = next(i for i, node in enumerate(nodes) if name in node.output) + 1
        pair = [f"{name}.scale", zero.name]
        nodes[at:at] = [
            helper.make_node("QuantizeLinear", [name, *pair], [f"{name}.rounded"]),
            helper.make_node("DequantizeLinear", [f"{name}.rounded", *pair], [f"{name}.dequantized"]),
        ]
    for node in convolutions:
        node.input[0] = f"{node.input[0]}.dequantized"
        values = numpy_helper.to_array(weights[node.input[1]])
        step = np.abs(values).max(axis=(1, 2, 3), keepdims=True) / 127
        rounded = (np.rint(values / step) * step).astype(np.float32)
        weights[node.input[1]].CopyFrom(numpy_helper.from_array(rounded, node.input[1]))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.save(proto, target)
    return target


def compare(tested: Path, reference: Path, batches: Sequence[Image], *, layers: bool = True) -> dict[str, TensorDiff]:
    a, b = open_sides(tested, reference, EngineOptions())
    names = shared_names(a, b, layers=layers)
    diffs = compare_tensors(a, b, names, batches, layers=layers)
    assert [diff.name for diff in diffs] == names
    return {diff.name: diff for diff in diffs}


def outputs_of(proto: onnx.ModelProto, names: Sequence[str], images: Image) -> list[np.ndarray]:
    """Inner tensors of a model, straight from ONNX Runtime."""
    marked = onnx.ModelProto()
    marked.CopyFrom(proto)
    marked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(marked.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(names), {"images": images})


def test_figures_of_known_arrays() -> None:
    rng = np.random.default_rng(0)
    b = rng.normal(size=(2, 5, 7)).astype(np.float32)
    a = b + rng.normal(scale=0.1, size=b.shape).astype(np.float32)
    diff = TensorDiff("x")
    for one, other in zip(a, b, strict=True):  # image by image
        diff.add(one, other)
        diff.add_own(other * np.float32(1.5), other)
    a, b = a.astype(np.float64), b.astype(np.float64)
    assert diff.max_abs == pytest.approx(np.abs(a - b).max())
    assert diff.mean_abs == pytest.approx(np.abs(a - b).mean())
    assert diff.relative == pytest.approx(np.sqrt(np.mean((a - b) ** 2)) / np.sqrt(np.mean(b**2)))
    assert diff.cosine == pytest.approx(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))
    assert diff.added == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_the_largest_error(wrong: float) -> None:
    diff = TensorDiff("x")
    diff.add(np.ones(3), np.ones(3))
    diff.add(np.array([1, wrong, 1]), np.ones(3))
    diff.add_own(np.array([1, wrong, 1]), np.ones(3))
    assert diff.relative == diff.mean_abs == diff.added == math.inf and math.isnan(diff.cosine)
    assert first_suspect([TensorDiff("y", own_squares=0.0), diff]) is diff


def test_zeros() -> None:
    diff = TensorDiff("x")
    diff.add(np.zeros(3), np.zeros(3))
    assert (diff.relative, diff.max_abs, diff.added) == (0, 0, None) and math.isnan(diff.cosine)
    diff.add(np.ones(3), np.zeros(3))
    assert diff.relative > 1e5
    assert first_suspect([diff]) is None  # nothing was measured


def test_heads_of_full_and_raw_graphs(small: Path, batches: list[Image], tmp_path: Path) -> None:
    raw = export(tmp_path / "raw.onnx", graph="raw")
    diffs = compare(raw, small, batches, layers=False)
    assert list(diffs) == list(HEADS)
    for name, diff in diffs.items():
        assert diff.relative < 1e-5 and diff.cosine == pytest.approx(1), name
        assert diff.added is None


def test_the_damaged_module_is_named_first(small: Path, batches: list[Image], tmp_path: Path) -> None:
    diffs = compare(damage(small, tmp_path / "damaged.onnx", DAMAGED), small, batches)
    names = list(diffs)
    before, after = names[: names.index(DAMAGED_LAYER)], names[names.index(DAMAGED_LAYER) + 1 :]
    assert len(before) > 20 and len(after) > 60
    assert all(diffs[name].max_abs == 0 for name in before)
    suspect = first_suspect(list(diffs.values()))
    assert suspect is diffs[DAMAGED_LAYER] and suspect.added == pytest.approx(suspect.relative)
    assert all(diffs[name].added < 1e-6 for name in names if name != DAMAGED_LAYER)
    assert all(diffs[head].relative > 1e-3 for head in HEADS)


def test_figures_are_those_of_the_tensors(small: Path, batches: list[Image], tmp_path: Path) -> None:
    damaged = damage(small, tmp_path / "damaged.onnx", DAMAGED)
    diffs = compare(damaged, small, batches)
    names = [DAMAGED_LAYER, "backbone.layers.3.1", "P5/prediction_layers.0.conf_layer", *HEADS]
    ours, theirs = (
        [
            np.concatenate(same)
            for same in zip(*(outputs_of(onnx.load(path), names, one) for one in batches), strict=True)
        ]
        for path in (damaged, small)
    )
    for name, a, b in zip(names, ours, theirs, strict=True):
        assert diffs[name].max_abs == pytest.approx(np.abs(a - b).max(), rel=1e-3), name
        assert diffs[name].relative == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(b), rel=1e-3), name


@pytest.mark.parametrize("kind", ["fp16", "bf16", "int8"])
def test_the_damaged_module_is_named_among_errors_everywhere(
    kind: str,
    small: Path,
    batches: list[Image],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"{kind}.onnx"
    if kind == "int8":
        quantise(small, path, np.concatenate(batches))
    else:
        export(path, precision=kind)
    images = batches[:1]
    sound = list(compare(path, small, images).values())
    assert sum(diff.relative > 1e-4 for diff in sound) > 100  # errors everywhere
    most = max(diff.added for diff in sound)
    if kind != "int8":
        assert first_suspect(sound) is None and most < SUSPICIOUS
    damaged = compare(damage(path, tmp_path / "damaged.onnx", DAMAGED), small, images)
    suspect = first_suspect(list(damaged.values()))
    assert suspect is damaged[DAMAGED_LAYER] and suspect.added > 3 * most
    assert suspect.relative < max(diff.relative for diff in damaged.values()) + 1e-9


@pytest.mark.parametrize("tested", ["checkpoint", "file"])
def test_checkpoints_have_the_layers_of_exported_files(
    tested: str, small: Path, batches: list[Image], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "tiny.pth"
    torch.save(lively_state(), checkpoint)
    damaged = damage(small, tmp_path / "damaged.onnx", DAMAGED)
    pairs = {"checkpoint": (checkpoint, small), "file": (small, checkpoint)}
    same = compare(*pairs[tested], batches[:1])
    assert all(diff.relative < 1e-4 and diff.added < 1e-5 for diff in same.values())
    convolutions = {name.removesuffix(".weight") for name in state_convolutions()}
    assert len(same) >= len(convolutions)
    for name in (DAMAGED_LAYER, "backbone.layers.3.2", "fpn.lat_layers.1", "P7/prediction_layers.0.mask_layer", *HEADS):
        assert name in same
    pairs = {"checkpoint": (checkpoint, damaged), "file": (damaged, checkpoint)}
    suspect = first_suspect(list(compare(*pairs[tested], batches[:1]).values()))
    assert suspect is not None and suspect.name == DAMAGED_LAYER


def state_convolutions() -> list[str]:
    """Weights of convolutions that run when an image is detected."""
    state = network().state_dict()
    return [name for name, values in state.items() if values.ndim == 4 and not name.startswith("semantic")]


def test_two_checkpoints(batches: list[Image], tmp_path: Path) -> None:
    sides = []
    for factor in (0.5, 1.0):
        model = network()
        dict(model.named_parameters())[f"{DAMAGED}.weight"].data *= factor
        sides.append(TorchSide(tmp_path, model, POSTPROCESS))
    names = shared_names(*sides, layers=True)
    diffs = compare_tensors(*sides, names, batches, layers=True)
    suspect = first_suspect(diffs)
    assert suspect is not None and suspect.name == DAMAGED


def test_deformable_convolutions(tmp_path: Path, photos: list[Image]) -> None:
    config = replace(CONFIG, backbone="resnet50", image_size=64, deformable_interval=3)
    path = export(tmp_path / "sound.onnx", config)
    module = "backbone.layers.1.3.conv2"
    damaged = damage(path, tmp_path / "damaged.onnx", f"{module}.conv_offset_mask", 3.0)
    images = [Preprocessor(config.image_size)(photos[:1])]
    torch_side = TorchSide(tmp_path, network(config), POSTPROCESS)
    onnx_side = open_sides(damaged, damaged, EngineOptions())[0]
    for pair in ((torch_side, onnx_side), (onnx_side, torch_side)):
        names = shared_names(*pair, layers=True)
        assert {f"{module[:-5]}bn2", "backbone.layers.1.3"} <= {*names}
        suspect = first_suspect(compare_tensors(*pair, names, images, layers=True))
        assert suspect is not None and suspect.name == f"{module}/{module}.conv_offset_mask"


def test_the_runtime_is_blamed_for_most_of_an_error(small: Path, photos: list[Image], batches: list[Image]) -> None:
    (side, _), image = open_sides(small, small, EngineOptions()), DiffImage("photo", lambda: photos[0])
    own = side.optimisation_error(batches[0])
    assert 0 < own < 1e-3
    assert [*_check_runtime([side], image, own / 0.4)] == []
    (note,) = _check_runtime([side], image, own / 0.6)
    assert "most of the error comes from the runtime" in note and str(small) in note


def test_fixed_batches_are_filled_up(small: Path, batches: list[Image], tmp_path: Path) -> None:
    fixed = export(tmp_path / "2.onnx", batch=2)
    full = [np.concatenate([images, np.zeros_like(images)]) for images in batches]
    diffs = compare(fixed, small, full)
    assert all(diff.relative < 1e-5 for diff in diffs.values())
    # Only the image counts: the black one, of which other values come, would show here.
    alone = compare(fixed, small, full[:1])
    assert alone["locations"].count == 1 * diffs["locations"].count // 2


def test_networks_that_cannot_be_compared(small: Path, engine: Path, tmp_path: Path) -> None:
    larger = replace(CONFIG, image_size=192)
    renamed = CONFIG.with_classes(("person", "cat", "kite"))
    for config, words in ((larger, "192x192.*128x128"), (renamed, "person, cat, kite.*person, dog, kite")):
        path = export(tmp_path / "other.onnx", config)
        with pytest.raises(EngineError, match=words):
            check_comparable(*open_sides(path, small, EngineOptions()))
    two, three = (export(tmp_path / f"{size}.onnx", batch=size) for size in (2, 3))
    with pytest.raises(EngineError, match=r"different batches \(2, 3\)"):
        check_comparable(*open_sides(two, three, EngineOptions()))
    with pytest.raises(EngineError, match="share no layers"):
        shared_names(*open_sides(engine, engine, EngineOptions()), layers=True)


def test_post_processing_is_the_same_on_both_sides(tmp_path: Path) -> None:
    ours = PostprocessConfig(max_detections=7, nms_threshold=0.4)
    path = export(tmp_path / "full.onnx", CONFIG, ours)
    raw = export(tmp_path / "raw.onnx", graph="raw")
    for pair in ((raw, path), (path, raw)):
        sides = open_sides(*pair, EngineOptions())
        assert share_settings(*sides) is None
        assert all(side.engine.metadata.postprocess == ours for side in sides)
    other = export(tmp_path / "other.onnx", CONFIG, PostprocessConfig(max_detections=8))
    warning = share_settings(*open_sides(path, other, EngineOptions()))
    assert warning is not None and "different post-processing" in warning
