"""Which parts of a network are ranked, what each costs, and which are proposed to be left out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from xml.etree import ElementTree

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from repository import BINS, DEMO_CHECKPOINT
from seeded import seeded
from sensitive_network import LIMITS, SMALL, make_sensitive

from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.quantization_points import MODULES, Consumer, Platform, QuantizationPoints
from yolact.calib.sensitivity.chart import Bar, draw_chart
from yolact.calib.sensitivity.costs import HeadDistance, MaskApLoss
from yolact.calib.sensitivity.ranking import (
    Int8Selection,
    Part,
    PartCost,
    difference,
    find_parts,
    propose,
    quantised,
    rank,
    shortest,
)
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import HEADS
from yolact.runtime.errors import DatasetError, EngineError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER

CONFIGS = {
    "resnet50": ModelConfig("r", "resnet50", 96, ("a", "b", "c")),
    "darknet53": ModelConfig("d", "darknet53", 96, ("a", "b", "c")),
    "mobilenet_v2": SMALL,
    "plus": ModelConfig("p", "resnet50", 256, ("a", "b"), deformable_interval=3, mask_rescoring=True),
}
EVERYTHING = tuple(MODULES)


@pytest.fixture(scope="module", params=CONFIGS)
def proto(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return export_model(seeded(CONFIGS[request.param]), LIMITS, weights_sha256="")


@pytest.fixture(scope="module")
def small() -> onnx.ModelProto:
    return export_model(seeded(SMALL), LIMITS, weights_sha256="")


@pytest.fixture(scope="module")
def images(photos: list[Image], tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder = tmp_path_factory.mktemp("images")
    for index, photo in enumerate(photos):
        write_image(folder / f"{index}.png", photo)
    return ImageSet.of_folder(folder, len(photos))


def consumers(points: QuantizationPoints) -> set[Consumer]:
    return set(itertools.chain(*points.activations))


@pytest.mark.parametrize("modules", [("backbone", "protonet"), EVERYTHING], ids=len)
@pytest.mark.parametrize("platform", ["tensorrt", "cpu"])
def test_layers_are_all_there_is_to_quantise(
    proto: onnx.ModelProto, modules: tuple[str, ...], platform: Platform
) -> None:
    """Nothing that is rounded is in no layer, or every list of exclusions would leave some rounding behind."""
    selection = Int8Selection(proto, modules, (), platform)
    points, parts = selection.points(), find_parts(selection, "layers")
    assert points is not None and len({part.name for part in parts}) == len(parts) > 5
    assert {name for part in parts for name in part.points.convolutions} == set(points.convolutions)
    assert set().union(*(consumers(part.points) for part in parts)) == consumers(points)
    for part in parts:
        rest = selection.points([part])
        assert rest is not None and part.points.convolutions
        assert set(rest.convolutions) == set(points.convolutions) - set(part.points.convolutions)
        assert consumers(rest) == consumers(points) - consumers(part.points)
        assert {consumer.node for consumer in consumers(part.points)} >= set(part.points.convolutions)


def test_the_shared_head_is_one_layer_and_a_sum_goes_with_the_convolution_before_it() -> None:
    proto = export_model(seeded(CONFIGS["resnet50"]), LIMITS, weights_sha256="")
    parts = {part.name: part for part in find_parts(Int8Selection(proto, EVERYTHING, (), "tensorrt"), "layers")}
    assert len(parts["prediction_layers.0.conf_layer"].points.convolutions) == 5  # levels
    assert len(parts["proto_net.0"].points.convolutions) == 1
    last = parts["backbone.layers.1.2.conv3"].points
    assert last.convolutions == ("backbone.layers.1.2.bn3",)
    assert consumers(last) == {Consumer("backbone.layers.1.2.bn3", 0), Consumer("backbone.layers.1.2.sum", 1)}


def test_modules_are_ranked_also_where_they_are_not_asked_for(small: onnx.ModelProto) -> None:
    parts = find_parts(Int8Selection(small, ("backbone", "protonet"), ("proto_net.2",), "tensorrt"), "modules")
    assert {part.name: part.chosen for part in parts} == {
        "backbone": True,
        "fpn": False,
        "protonet": True,
        "head": False,
    }
    protonet = next(part for part in parts if part.name == "protonet")
    assert protonet.points.convolutions == ("proto_net.0", "proto_net.4", "proto_net.8", "proto_net.10")
    parts = find_parts(Int8Selection(small, ("backbone", "protonet"), ("proto_net",), "tensorrt"), "modules")
    assert [part.name for part in parts] == ["backbone", "fpn", "head"]


def test_nothing_to_quantise(small: onnx.ModelProto) -> None:
    with pytest.raises(UsageError, match="nothing is left to quantise"):
        find_parts(Int8Selection(small, ("protonet",), ("proto_net",), "cpu"), "layers")


def test_difference_and_shortest() -> None:
    a, b, c = Consumer("a", 0), Consumer("b", 0), Consumer("b", 1)
    whole = QuantizationPoints(("a", "b"), ((a, c), (b,)))
    assert difference(whole, QuantizationPoints(("a",), ((a,),))) == QuantizationPoints(("b",), ((c,), (b,)))
    assert difference(whole, whole) == QuantizationPoints((), ())
    assert shortest(["p.1.2", "p.1", "p.10", "p.1", "q"]) == ("p.1", "p.10", "q")


# What a layer costs, found by PyTorch.


def rounded(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.clamp(torch.round(values / scale), -127, 127) * scale


@contextmanager
def rounding(model: torch.nn.Module, layer: str, largest: float) -> Iterator[None]:
    """One convolution with its input and weights in INT8."""
    conv = model.get_submodule(layer)
    weight = conv.weight.detach().clone()  # type: ignore[union-attr]
    scales = weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    with ExitStack() as stack:
        stack.callback(conv.weight.data.copy_, weight)  # type: ignore[union-attr]
        conv.weight.data.copy_(rounded(weight, scales))  # type: ignore[union-attr]
        hook = conv.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0], torch.tensor(largest / 127)),))
        stack.callback(hook.remove)
        yield


def torch_costs(model: torch.nn.Module, layers: list[str], batches: list[Image]) -> dict[str, float]:
    def heads() -> list[np.ndarray]:
        with torch.no_grad():
            outputs = [model(model.normalize(torch.from_numpy(pixels)))[:4] for pixels in batches]  # type: ignore[operator]
        return [np.concatenate([one.numpy().ravel() for one in arrays]) for arrays in zip(*outputs, strict=True)]

    largest: dict[str, float] = dict.fromkeys(layers, 0.0)
    hooks = []
    for layer in layers:

        def see(_: object, inputs: tuple[torch.Tensor], layer: str = layer) -> None:
            largest[layer] = max(largest[layer], float(inputs[0].abs().max()))

        hooks.append(model.get_submodule(layer).register_forward_pre_hook(see))
    originals = heads()
    for hook in hooks:
        hook.remove()
    costs = {}
    for layer in layers:
        with rounding(model, layer, largest[layer]):
            changed = heads()
        costs[layer] = max(
            np.linalg.norm(one - other) / np.linalg.norm(other) for one, other in zip(changed, originals, strict=True)
        )
    return costs


def test_costs_are_those_of_pytorch(small: onnx.ModelProto, images: ImageSet) -> None:
    """Convolutions without a batch norm, as others have it folded into what is rounded."""
    selection = Int8Selection(small, ("fpn", "protonet", "head"), (), "tensorrt")
    parts = [part for part in find_parts(selection, "layers") if not part.name.startswith("fpn.lat")]
    ranges = calibrate(small, images, CalibrationOptions("minmax"))
    distance = HeadDistance(small, images)
    ranking = rank(parts, lambda points: distance(quantised(small, points, ranges, "tensorrt")))
    preprocess = Preprocessor(SMALL.image_size)
    batches = [pixels for pixels, _ in images.batches(preprocess, 1)]
    names = [part.name for part in parts if not part.name.startswith("prediction_layers")]
    expected = torch_costs(seeded(SMALL), names, batches)
    found = {one.part.name: one.cost for one in ranking}
    assert {name: found[name] for name in names} == pytest.approx(expected, rel=0.03)
    costs = [one.cost for one in ranking]
    assert costs == sorted(costs, reverse=True) and costs[-1] > 0 and len(costs) == len(parts)
    for name in found.keys() - set(names):  # the head's input is calibrated over all levels at once
        assert 0 < found[name] < 1


@pytest.mark.parametrize("platform", ["tensorrt", "cpu"])
def test_a_sensitive_layer_is_found_and_proposed(small: onnx.ModelProto, images: ImageSet, platform: Platform) -> None:
    proto = make_sensitive(small)
    assert HeadDistance(small, images)(proto) < 1e-3  # unquantised they are the same
    selection = Int8Selection(proto, ("protonet",), (), platform)
    ranges = calibrate(proto, images, CalibrationOptions())
    distance = HeadDistance(proto, images)

    def measure(points: QuantizationPoints) -> float:
        return distance(quantised(proto, points, ranges, platform))

    ranking = rank(find_parts(selection, "layers"), measure)
    assert ranking[0].part.name == "proto_net.2" and ranking[0].cost > 5 * ranking[1].cost
    proposal = propose(selection, ranking, measure, limit=2 * sum(one.cost for one in ranking[1:]))
    assert proposal.met and proposal.exclude == ("proto_net.2",) and proposal.total == 5
    assert proposal.cost < ranking[0].cost < 2 * proposal.cost_of_all


# Proposals, with made-up costs.


def made_up(selection: Int8Selection, seed: int) -> tuple[list[PartCost], dict[tuple[str, ...], float]]:
    """A ranking, and a cost of every prefix of it left out that is no sum and falls only on the whole."""
    rng = np.random.default_rng(seed)
    parts = find_parts(selection, "layers")
    ranking = rank(parts, lambda points: float(rng.uniform(0, 1)))
    names = [one.part.name for one in ranking]
    combined = {tuple(names[:count]): float(rng.uniform(0, 1.5) / (count + 1)) for count in range(len(names))}
    return ranking, combined


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.2, 0.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_shortest_list_of_the_most_costly(small: onnx.ModelProto, seed: int, limit: float) -> None:
    selection = Int8Selection(small, ("protonet",), (), "tensorrt")
    ranking, combined = made_up(selection, seed)
    layers = {one.part.points.convolutions[0]: one.part.name for one in ranking}
    measured = []

    def measure(points: QuantizationPoints) -> float:
        kept = {layers[name] for name in points.convolutions}
        out = tuple(one.part.name for one in ranking if one.part.name not in kept)
        measured.append(out)
        return combined[out]

    proposal = propose(selection, ranking, measure, limit)
    fitting = [out for out, cost in combined.items() if cost <= limit]
    out = tuple(part.name for part in proposal.parts)
    assert proposal.met == bool(fitting) and proposal.cost_of_all == combined[()]
    assert out == (min(fitting, key=len) if fitting else min(combined, key=lambda one: combined[one]))
    assert measured == [one for one in combined if len(one) <= len(out) or not fitting]
    assert proposal.cost == combined[out] and proposal.exclude == out


def test_what_was_not_asked_for_is_not_left_out(small: onnx.ModelProto) -> None:
    selection = Int8Selection(small, ("backbone", "protonet"), (), "cpu")
    ranking = rank(find_parts(selection, "modules"), lambda points: float(points.convolutions[0].startswith("fpn")))
    assert ranking[0].part.name == "fpn"
    proposal = propose(
        selection, ranking, lambda points: float(any("back" in name for name in points.convolutions)), limit=0
    )
    assert proposal.met and proposal.exclude == ("backbone",) and proposal.total == 2


def test_a_network_that_breaks_is_worst(small: onnx.ModelProto) -> None:
    selection = Int8Selection(small, ("protonet",), (), "tensorrt")
    ranking = rank(
        find_parts(selection, "layers"), lambda points: math.inf if "proto_net.4" in points.convolutions else 1
    )
    assert [one.part.name for one in ranking][:2] == ["proto_net.4", "proto_net.0"]
    proposal = propose(selection, ranking, lambda points: math.inf, 10)
    assert not proposal.met and proposal.parts == () and proposal.cost == math.inf


def test_layers_of_a_block_that_is_left_out_are_not_named_again(small: onnx.ModelProto) -> None:
    selection = Int8Selection(small, ("backbone",), (), "tensorrt")
    parts = {part.name: part for part in find_parts(selection, "layers")}
    inside = parts["backbone.layers.2.1.conv.0.0"]
    block = Part("backbone.layers.2.1", ("backbone.layers.2.1",), inside.points, True)
    whole, rest = selection.points(), selection.points([block])
    assert whole is not None and rest is not None
    block = block._replace(points=difference(whole, rest))
    assert set(inside.points.convolutions) < set(block.points.convolutions)
    other = parts["backbone.layers.0.0"]
    for order in ([block, inside, other], [inside, block, other]):
        ranking = [PartCost(part, 1.0) for part in order]
        bad = {*block.points.convolutions, *other.points.convolutions}
        proposal = propose(selection, ranking, lambda points, bad=bad: len(bad & set(points.convolutions)), 0.5)  # type: ignore[misc]
        assert proposal.met and proposal.exclude == ("backbone.layers.2.1", "backbone.layers.0.0")
        assert len(proposal.parts) == (2 if order[0] is block else 3)


def test_one_part_alone_cannot_be_left_out(small: onnx.ModelProto) -> None:
    selection = Int8Selection(small, ("protonet",), (), "tensorrt")
    ranking = rank(find_parts(selection, "modules"), lambda points: 1.0)
    assert not propose(selection, ranking, lambda points: 1.0, 0.5).met


# What is measured.


def with_weights(proto: onnx.ModelProto, layer: str, value: float) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    for tensor in changed.graph.initializer:
        if tensor.name == f"{layer}.weight":
            values = np.full_like(numpy_helper.to_array(tensor), value)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return changed


def test_distance_of_heads(small: onnx.ModelProto, images: ImageSet) -> None:
    distance = HeadDistance(small, images)
    assert distance(small) == 0
    assert distance(with_weights(small, "proto_net.10", 0)) == pytest.approx(1, abs=0.5)  # the bias stays
    assert distance(with_weights(small, "proto_net.10", math.nan)) == math.inf
    raw = export_model(seeded(SMALL), LIMITS, weights_sha256="", graph="raw")
    assert distance(raw) < 1e-5 and [one.name for one in raw.graph.output] == list(HEADS)


def test_a_network_that_does_not_open(small: onnx.ModelProto, images: ImageSet) -> None:
    damaged = with_weights(small, "proto_net.10", 0)
    del damaged.graph.node[20]
    with pytest.raises(EngineError, match="refuses the model"):
        HeadDistance(damaged, images)


def bins(limit: int | None = None) -> GroundTruth:
    return read_ground_truth(BINS / ANNOTATION_FILE, BINS / IMAGE_FOLDER, limit)


def test_loss_of_mask_ap() -> None:
    from yolact.training.models.checkpoints import load_checkpoint

    proto = export_model(load_checkpoint(DEMO_CHECKPOINT), PostprocessConfig(), weights_sha256="")
    loss = MaskApLoss(proto, bins(6))
    assert 20 < loss.reference < 100 and loss(proto) == 0
    assert loss(with_weights(proto, "prediction_layers.0.conf_layer", 0)) == pytest.approx(loss.reference, abs=2)


def test_a_reference_that_finds_nothing_is_no_measure(small: onnx.ModelProto) -> None:
    with pytest.raises(DatasetError, match=r"the reference's mask AP on .+ is 0\.\d\d, too near zero, so"):
        MaskApLoss(small, bins(1))


def test_annotations_that_measure_nothing(small: onnx.ModelProto) -> None:
    truth = bins(1)
    truth.content["annotations"].clear()
    with pytest.raises(DatasetError, match="no object is annotated"):
        MaskApLoss(small, truth)


# The chart.

BARS = [
    Bar("proto_net.0", math.inf, "excluded"),
    Bar("backbone.layers.0.0.conv<1>", 0.8, "quantised"),
    Bar("proto_net.2", 0.4, "quantised"),
    Bar("fpn", -0.2, "untouched"),
]


def test_svg_bars_are_as_long_as_their_costs() -> None:
    root = ElementTree.fromstring(draw_chart(BARS, "A & B", "lost", ".svg"))
    space = "{http://www.w3.org/2000/svg}"
    texts = [one.text for one in root.iter(f"{space}text")]
    assert {"A & B", "lost", "breaks", "0.8", "-0.2", *(bar.name for bar in BARS)} <= set(texts)
    assert {"to exclude", "stays in INT8", "not asked for in INT8"} <= set(texts)
    boxes = [one for one in root.iter(f"{space}rect") if one.get("height") == "13.0"][3:]  # after the legend
    broken, most, half, gain = (float(one.get("width", "")) for one in boxes)
    assert half == pytest.approx(most / 2, abs=0.2) and gain == pytest.approx(most / 4, abs=0.2) and broken >= most
    assert float(boxes[3].get("x", "")) + gain == pytest.approx(float(boxes[1].get("x", "")), abs=0.2)


@pytest.mark.parametrize("cost", [0.0, 1e-12, 3.7e-5, 1.0, 250.0, math.inf])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_any_cost_can_be_drawn(cost: float, suffix: str) -> None:
    data = draw_chart([Bar("layer \ud800 \x1b[2J 漢", cost, "quantised")], "title", "lost", suffix)
    assert draw_chart([Bar("layer \ud800 \x1b[2J 漢", cost, "quantised")], "title", "lost", suffix) == data
    if suffix == ".svg":
        assert "to exclude" not in data.decode()  # one kind needs no legend
        ElementTree.fromstring(data)


def test_png_has_the_bars() -> None:
    picture = cv2.imdecode(np.frombuffer(draw_chart(BARS, "título", "lost", ".png"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None and picture.shape == (2 * (66 + 20 * 4 + 38), 1920, 3)
    rows = [picture[2 * (66 + 20 * row + 10)] for row in range(4)]
    blue, orange = np.array([0xE6, 0x46, 0x14]), np.array([0x0D, 0x73, 0xD9])
    lengths = [int((row == colour).all(axis=1).sum()) for row, colour in zip(rows, [orange, blue, blue], strict=False)]
    assert lengths[0] >= lengths[1] > 300 and lengths[2] == pytest.approx(lengths[1] / 2, abs=3)
