"""Starting weights: published ImageNet files under their own names, checkpoints with other classes, and misfits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError
from yolact.training.models.configs import CONFIGS
from yolact.training.models.initial_weights import initial_model

State = dict[str, torch.Tensor]
DEMO = CONFIGS["yolact_demo"]


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)


def torchvision_resnet(blocks: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of torchvision's ResNets, from the table in the paper (arXiv:1512.03385)."""
    yield "conv1.weight", (64, 3, 7, 7)
    yield from norm("bn1", 64)
    channels = 64
    for layer, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
        for block in range(count):
            prefix = f"layer{layer}.{block}"
            for number, shape in enumerate(
                [(width, channels, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)], 1
            ):
                yield f"{prefix}.conv{number}.weight", shape
                yield from norm(f"{prefix}.bn{number}", shape[0])
            if block == 0:
                yield f"{prefix}.downsample.0.weight", (4 * width, channels, 1, 1)
                yield from norm(f"{prefix}.downsample.1", 4 * width)
            channels = 4 * width
    yield "fc.weight", (1000, 2048)
    yield "fc.bias", (1000,)


def torchvision_mobilenet() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of torchvision's MobileNetV2, from the table in the paper (arXiv:1801.04381)."""
    yield "features.0.0.weight", (32, 3, 3, 3)
    yield from norm("features.0.1", 32)
    channels, index = 32, 1
    for expansion, out, count in ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)):
        for _ in range(count):
            width, part = channels * expansion, 0
            if expansion > 1:
                yield f"features.{index}.conv.0.0.weight", (width, channels, 1, 1)
                yield from norm(f"features.{index}.conv.0.1", width)
                part = 1
            yield f"features.{index}.conv.{part}.0.weight", (width, 1, 3, 3)
            yield from norm(f"features.{index}.conv.{part}.1", width)
            yield f"features.{index}.conv.{part + 1}.weight", (out, width, 1, 1)
            yield from norm(f"features.{index}.conv.{part + 2}", out)
            channels, index = out, index + 1
    yield "features.18.0.weight", (1280, 320, 1, 1)
    yield from norm("features.18.1", 1280)
    yield "classifier.1.weight", (1000, 1280)
    yield "classifier.1.bias", (1000,)


def random_state(names: Iterator[tuple[str, tuple[int, ...]]]) -> State:
    torch.manual_seed(5)
    return {name: torch.rand(shape) for name, shape in names}


def parameters_by_order(model: torch.nn.Module) -> list[torch.Tensor]:
    return [t for name, t in model.state_dict().items() if not name.endswith("num_batches_tracked")]


@pytest.mark.parametrize(("name", "blocks"), [("yolact_resnet50", (3, 4, 6, 3)), ("yolact_base", (3, 4, 23, 3))])
def test_torchvision_resnets(tmp_path: Path, name: str, blocks: tuple[int, ...]) -> None:
    """Module order is the same, so the tensors must follow one another as in the file."""
    state = random_state(torchvision_resnet(blocks))
    torch.save(state, tmp_path / "w.pth")
    model, fresh = initial_model(CONFIGS[name], 0, tmp_path / "w.pth")
    assert fresh == []
    loaded = dict(model.backbone.state_dict())
    for part, tensor in state.items():
        if not part.startswith("fc."):
            layer, _, rest = part.partition(".")
            ours = f"layers.{int(layer[5:]) - 1}.{rest}" if layer.startswith("layer") else part
            assert torch.equal(loaded.pop(ours), tensor), part
    assert all(name.endswith("num_batches_tracked") for name in loaded)


def test_deformable_layers_take_plain_filters(tmp_path: Path) -> None:
    state = random_state(torchvision_resnet((3, 4, 6, 3)))
    torch.save(state, tmp_path / "w.pth")
    model, _ = initial_model(CONFIGS["yolact_plus_resnet50"], 0, tmp_path / "w.pth")
    loaded = model.backbone.state_dict()
    assert torch.equal(loaded["layers.1.0.conv2.weight"], state["layer2.0.conv2.weight"])
    assert not loaded["layers.1.0.conv2.conv_offset_mask.weight"].any(), "no deformation at the start"


def test_torchvision_mobilenet(tmp_path: Path) -> None:
    state = random_state(torchvision_mobilenet())
    torch.save(state, tmp_path / "w.pth")
    model, _ = initial_model(DEMO, 0, tmp_path / "w.pth")
    used = [t for n, t in state.items() if not n.startswith(("features.17.", "features.18.", "classifier."))]
    ours = parameters_by_order(model.backbone)
    assert len(ours) == len(used)
    assert all(torch.equal(a, b) for a, b in zip(ours, used, strict=True))


def flat(state: State) -> State:
    """As torchvision's first MobileNetV2 was made: the layers of a block in one sequence, ReLU6 among them."""
    places = {3: ["0", "1", "3", "4"], 4: ["0", "1", "3", "4", "6", "7"]}

    def renamed(name: str) -> str:
        match = re.fullmatch(r"features\.(\d+)\.conv\.(\d)(?:\.(\d))?\.(\w+)", name)
        if match is None:
            return name
        block, outer, inner, value = match.groups()
        expands = f"features.{block}.conv.3.weight" in state
        place = 2 * int(outer) + int(inner) if inner else int(outer) + (2 if expands else 1)
        return f"features.{block}.conv.{places[3 + expands][place]}.{value}"

    return {renamed(name): tensor for name, tensor in state.items()}


@pytest.mark.parametrize("prefix", ["", "module.", "module.backbone."])
def test_torchvisions_first_mobilenet(tmp_path: Path, prefix: str) -> None:
    nested = random_state(torchvision_mobilenet())
    older = flat(nested)
    assert older["features.1.conv.3.weight"].shape == (16, 32, 1, 1) and older["features.2.conv.7.bias"].shape == (24,)
    backbones = []
    for name, state in (("nested", nested), ("flat", {f"{prefix}{name}": tensor for name, tensor in older.items()})):
        torch.save(state, tmp_path / f"{name}.pth")
        backbones.append(initial_model(DEMO, 0, tmp_path / f"{name}.pth")[0].backbone.state_dict())
    assert all(torch.equal(tensor, backbones[1][name]) for name, tensor in backbones[0].items())


def test_official_darknet(tmp_path: Path) -> None:
    config = CONFIGS["yolact_darknet53"]
    torch.manual_seed(1)
    state = {n: torch.rand_like(t.float()) for n, t in initial_model(config, 0)[0].backbone.state_dict().items()}
    torch.save({**state, "fc.weight": torch.zeros(1000, 1024)}, tmp_path / "w.pth")
    loaded = initial_model(config, 3, tmp_path / "w.pth")[0].backbone.state_dict()
    assert all(torch.equal(loaded[n], t.to(loaded[n].dtype)) for n, t in state.items())


def test_what_the_file_does_not_fill_follows_the_seed(tmp_path: Path) -> None:
    torch.save(random_state(torchvision_mobilenet()), tmp_path / "w.pth")
    loaded, plain = (initial_model(DEMO, 4, path)[0].state_dict() for path in (tmp_path / "w.pth", None))
    assert torch.equal(loaded["proto_net.0.weight"], plain["proto_net.0.weight"])
    assert not torch.equal(loaded["backbone.layers.0.0.weight"], plain["backbone.layers.0.0.weight"])


def checkpoint(config: ModelConfig, path: Path) -> Path:
    torch.save(initial_model(config, 9)[0].state_dict(), path)
    return path


def test_a_checkpoint_with_other_classes(tmp_path: Path) -> None:
    path = checkpoint(DEMO.with_classes(("a", "b")), tmp_path / "two.pth")
    model, fresh = initial_model(DEMO, 0, path)
    assert fresh == [
        *(f"prediction_layers.0.conf_layer.{part}" for part in ("weight", "bias")),
        *(f"semantic_seg_conv.{part}" for part in ("weight", "bias")),
    ]
    untouched, source = initial_model(DEMO, 0)[0].state_dict(), torch.load(path, weights_only=True)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, (untouched if name in fresh else source)[name]), name


def test_a_checkpoint_without_the_layer_of_the_semantic_loss(tmp_path: Path) -> None:
    path = checkpoint(DEMO, tmp_path / "w.pth")
    state = {n: t for n, t in torch.load(path, weights_only=True).items() if not n.startswith("semantic_seg_conv.")}
    torch.save(state, path)
    model, fresh = initial_model(DEMO, 0, path)
    assert fresh == ["semantic_seg_conv.weight", "semantic_seg_conv.bias"]
    untouched = initial_model(DEMO, 0)[0].state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, (untouched if name in fresh else state)[name]), name


def test_as_many_classes_with_other_names(tmp_path: Path) -> None:
    config = DEMO.with_classes(tuple("abcdef"))
    path = checkpoint(config, tmp_path / "w.pth")
    path.with_suffix(".json").write_text(json.dumps(config.to_json()))
    assert len(initial_model(DEMO, 0, path)[1]) == 4


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    path = checkpoint(DEMO, tmp_path / "w.pth")
    state = torch.load(path, weights_only=True)
    torch.save({**state, "proto_net.0.bias": torch.full((64,), float("nan"))}, path)
    with pytest.raises(CheckpointError, match=r"proto_net\.0\.bias contains NaN"):
        initial_model(DEMO, 0, path)


def test_a_checkpoint_with_the_same_classes(tmp_path: Path) -> None:
    model, fresh = initial_model(DEMO, 0, checkpoint(DEMO, tmp_path / "w.pth"))
    assert fresh == []
    assert all(
        torch.equal(t, model.state_dict()[n]) for n, t in torch.load(tmp_path / "w.pth", weights_only=True).items()
    )


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"proto_net.proto1.0.weight": torch.zeros(1)}, "no YOLACT checkpoint: this is a checkpoint of Yolact_minimal"),
        ({"a": torch.zeros(1)}, "neither a YOLACT checkpoint nor ImageNet weights of mobilenet_v2"),
        (random_state(torchvision_resnet((3, 4, 6, 3))), "neither a YOLACT checkpoint nor ImageNet weights"),
        ({"prediction_layers.0.bbox_layer.bias": torch.zeros(1)}, "does not fit yolact_demo"),
        ("nothing", "holds no state dict"),
    ],
)
def test_misfits(tmp_path: Path, state: object, message: str) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        initial_model(DEMO, 0, tmp_path / "w.pth")


def test_another_architecture(tmp_path: Path) -> None:
    path = checkpoint(CONFIGS["yolact_edge_mobilenetv2"].with_classes(DEMO.class_names), tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"does not fit yolact_demo: .* choose the configuration it was trained with"
    ):
        initial_model(DEMO, 0, path)


def test_a_deeper_backbone_is_not_cut_to_fit(tmp_path: Path) -> None:
    state = {**random_state(torchvision_resnet((3, 4, 6, 3))), "layer3.6.conv1.weight": torch.zeros(256, 1024, 1, 1)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"is of a deeper backbone than resnet50, with layer3\.6\.conv1\.weight"):
        initial_model(CONFIGS["yolact_resnet50"], 0, tmp_path / "w.pth")


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    state = {name: tensor.to(torch.int8) for name, tensor in random_state(torchvision_mobilenet()).items()}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: .* has whole numbers instead of weights"):
        initial_model(DEMO, 0, tmp_path / "w.pth")


@pytest.mark.parametrize(("name", "is_fresh"), [("yolact_demo_25_8000.pth", True), ("renamed.pth", False)])
def test_classes_are_known_from_an_official_name(tmp_path: Path, name: str, is_fresh: bool) -> None:
    """As many other classes start anew too; without a name nothing tells that they are others."""
    torch.save(initial_model(DEMO, 9)[0].state_dict(), tmp_path / name)
    others = DEMO.with_classes(("disc", "ring", "star", "cross", "bar", "drop"), tuple(range(1, 7)))
    assert len(others.class_names) == len(DEMO.class_names)
    assert ("prediction_layers.0.conf_layer.weight" in initial_model(others, 0, tmp_path / name)[1]) == is_fresh
    assert initial_model(DEMO, 0, tmp_path / name)[1] == []
