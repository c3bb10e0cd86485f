"""Which checkpoints load, as which configuration, and what is said about the others."""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError, UsageError, YolactError
from yolact.training.models.checkpoints import load_checkpoint, recognize_config
from yolact.training.models.configs import COCO_CLASSES, CONFIGS, PASCAL_CLASSES
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict

State = dict[str, Tensor]


def hollow_state(config: ModelConfig) -> State:
    """A state dict of the right names, shapes and types whose tensors share one value: a tiny file."""
    with torch.device("meta"):
        state = Yolact(config).state_dict()
    return {name: torch.ones((), dtype=like.dtype).expand(like.shape) for name, like in state.items()}


def with_classes(config: ModelConfig, count: int) -> ModelConfig:
    return config.with_classes([f"thing {index}" for index in range(count)])


def generic_names(count: int) -> tuple[str, ...]:
    return tuple(f"class_{index}" for index in range(count))


RESNET50 = CONFIGS["yolact_resnet50"]


def test_loads_every_value(tmp_path: Path) -> None:
    state = seeded_state_dict(RESNET50)
    torch.save(state, tmp_path / "yolact_resnet50_54_800000.pth")
    model = load_checkpoint(tmp_path / "yolact_resnet50_54_800000.pth")
    assert model.config == RESNET50
    assert not any(module.training for module in model.modules())
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("name", "ending"),
    [(name, "_54_800000.pth") for name in CONFIGS] + [("yolact_im700", "_0_7_interrupt.pth"), ("yolact_im700", ".pth")],
)
def test_file_name_names_the_configuration(tmp_path: Path, name: str, ending: str) -> None:
    torch.save(hollow_state(CONFIGS[name]), tmp_path / (name + ending))
    assert load_checkpoint(tmp_path / (name + ending)).config == CONFIGS[name]


@pytest.mark.parametrize(
    ("name", "recognised", "alike"),
    [
        ("yolact_base", "yolact_base", ["yolact_im400", "yolact_im700"]),
        ("yolact_im400", "yolact_base", ["yolact_im400", "yolact_im700"]),
        ("yolact_im700", "yolact_base", ["yolact_im400", "yolact_im700"]),
        ("yolact_resnet50", "yolact_resnet50", []),
        ("yolact_resnet50_pascal", "yolact_resnet50_pascal", ["yolact_resnet50"]),
        ("yolact_darknet53", "yolact_darknet53", []),
        ("yolact_plus_base", "yolact_plus_base", []),
        ("yolact_plus_resnet50", "yolact_plus_resnet50", []),
    ],
)
def test_recognised_without_its_name(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    recognised: str,
    alike: list[str],
) -> None:
    path = tmp_path / "weights_10_20000.pth"
    torch.save(hollow_state(CONFIGS[name]), path)
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(path).config == CONFIGS[recognised]
    expected = [f"fit {' and '.join(alike)} as well: pass --config"] if alike else []
    assert len(caplog.messages) == len(expected)
    assert all(part in message for part, message in zip(expected, caplog.messages, strict=True))


def test_numbers_of_classes_and_coefficients_come_from_the_tensors() -> None:
    custom = replace(with_classes(CONFIGS["yolact_plus_base"], 3), num_coefficients=16)
    recognised = recognize_config(hollow_state(custom))
    assert recognised == custom.with_classes(generic_names(3))
    assert recognize_config(hollow_state(with_classes(RESNET50, 80))).class_names == COCO_CLASSES
    assert recognize_config(hollow_state(with_classes(RESNET50, 20))).class_names == PASCAL_CLASSES


@pytest.mark.parametrize("file_name", ["yolact_resnet50_12_3000.pth", "bottles.pth"])
@pytest.mark.parametrize("config", [None, RESNET50])
@pytest.mark.parametrize("class_names", [None, ["cap", "label", "glass"]])
def test_custom_classes(
    tmp_path: Path, file_name: str, config: ModelConfig | None, class_names: list[str] | None
) -> None:
    torch.save(hollow_state(with_classes(RESNET50, 3)), tmp_path / file_name)
    model = load_checkpoint(tmp_path / file_name, config, class_names)
    expected = tuple(class_names) if class_names else generic_names(3)
    assert model.config == RESNET50.with_classes(expected)


def test_twenty_custom_classes_keep_the_named_architecture(tmp_path: Path) -> None:
    torch.save(hollow_state(with_classes(RESNET50, 20)), tmp_path / "yolact_resnet50_1_2.pth")
    config = load_checkpoint(tmp_path / "yolact_resnet50_1_2.pth").config
    assert config == RESNET50.with_classes(generic_names(20))


def test_configuration_wins_over_the_file_name(tmp_path: Path) -> None:
    torch.save(hollow_state(CONFIGS["yolact_im700"]), tmp_path / "yolact_base_1_2.pth")
    config = CONFIGS["yolact_im700"]
    assert load_checkpoint(str(tmp_path / "yolact_base_1_2.pth"), config).config == config


def test_own_configuration_beyond_the_official_ones(tmp_path: Path) -> None:
    own = replace(with_classes(CONFIGS["yolact_plus_base"], 2), name="own", deformable_interval=5)
    torch.save(hollow_state(own), tmp_path / "own.pth")
    assert load_checkpoint(tmp_path / "own.pth", own).config == own


def first_release(state: State) -> State:
    """With what the first release saved besides: the backbone a second time, and unused pyramid levels."""
    extra = {
        "backbone.layer1.0.conv1.weight": torch.ones(64, 64, 1, 1),
        "fpn.downsample_layers.2.weight": torch.ones(256, 256, 3, 3),
        "fpn.downsample_layers.2.bias": torch.ones(256),
    }
    return {**state, **extra}


@pytest.mark.parametrize(
    "change",
    [
        first_release,
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"net": {f"module.{name}": tensor for name, tensor in first_release(state).items()}},
        lambda state: {name: tensor.half() for name, tensor in state.items()},
        lambda state: {name: tensor for name, tensor in state.items() if "num_batches_tracked" not in name},
    ],
    ids=["first-release", "module", "state_dict", "model", "net-module-first-release", "half", "no-counters"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_other_shapes_of_checkpoint(tmp_path: Path, change: Callable[[State], Any], zipped: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(change(hollow_state(RESNET50)), path, _use_new_zipfile_serialization=zipped)
    model = load_checkpoint(path)
    assert model.config == RESNET50
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32, torch.int64}
    assert all((parameter == 1).all() for parameter in model.parameters())


class Payload:
    """Runs a command when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def torchvision_resnet() -> State:
    return {name: torch.ones(2, 2) for name in ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "fc.bias")}


def changed(name: str, value: Tensor | None, config: ModelConfig = RESNET50) -> State:
    """A good state dict but for one tensor, replaced or (None) taken away."""
    state = {**hollow_state(config), name: value}
    return {key: tensor for key, tensor in state.items() if tensor is not None}


def save_half_of(path: Path, content: Any) -> None:
    torch.save(content, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save(path: Path, make: Callable[[], Any]) -> None:
    torch.save(make(), path)


REJECTED: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "missing": (
        "a.pth",
        lambda path: None,
        r"cannot read .*a\.pth: No such file or directory; check the path",
    ),
    "directory": ("a.pth", Path.mkdir, r"cannot read .*a\.pth: Is a directory; check the path"),
    "empty": ("a.pth", Path.touch, r"a\.pth is empty; download or copy it again$"),
    "text": ("a.pth", lambda path: path.write_text("hello world"), "is a text that begins with 'hello world'"),
    "truncated": (
        "a.pth",
        partial(save_half_of, content={"x": torch.ones(99)}),
        "is not a .* or is truncated",
    ),
    "whole module": (
        "a.pth",
        partial(save, make=lambda: torch.nn.Linear(2, 2)),
        r"contains code \(torch\.nn\.modules\.linear\.Linear\).* refused; save it again with torch\.save",
    ),
    "list": (
        "a.pth",
        partial(save, make=lambda: [torch.ones(1)]),
        "no state dict, expected a dictionary of tensors",
    ),
    "numbers": (
        "a.pth",
        partial(save, make=lambda: {"lr": 0.1}),
        "no state dict, expected a dictionary of tensors",
    ),
    "numbered": ("a.pth", partial(save, make=lambda: {0: torch.ones(1)}), "no state dict, expected"),
    "no tensors": ("a.pth", partial(save, make=dict), "no state dict, expected"),
    "another network": (
        "a.pth",
        partial(save, make=torchvision_resnet),
        r"not a YOLACT checkpoint, prediction_layers\.0\.bbox_layer\.bias is missing: these are weights of a backbone",
    ),
    "fractional anchors": (
        "a.pth",
        partial(save, make=lambda: changed("prediction_layers.0.conf_layer.bias", torch.ones(244))),
        r"the prediction head has 12, 244 and 96 channels, expected 4, C \+ 1 and K for each anchor",
    ),
    "background alone": (
        "a.pth",
        partial(save, make=lambda: changed("prediction_layers.0.conf_layer.bias", torch.ones(3))),
        r"the prediction head has 12, 3 and 96 channels, expected 4, C \+ 1 and K for each anchor",
    ),
    "wrong name": (
        "yolact_resnet50_1_2.pth",
        partial(save, make=lambda: hollow_state(CONFIGS["yolact_base"])),
        r"does not fit yolact_resnet50: backbone\.layers\.2\.10\.bn1\.bias is unexpected, .* and 303 more; "
        "pass --config yolact_base or yolact_im400 or yolact_im700$",
    ),
    "missing tensor": (
        "yolact_resnet50_1_2.pth",
        partial(save, make=lambda: changed("proto_net.4.bias", None)),
        r"does not fit yolact_resnet50: proto_net\.4\.bias is missing; no official configuration fits$",
    ),
    "wrong shape": (
        "a.pth",
        partial(save, make=lambda: changed("fpn.lat_layers.0.weight", torch.ones(256, 512, 1, 1))),
        r"the closest is yolact_resnet50, but fpn\.lat_layers\.0\.weight is \(256, 512, 1, 1\) instead of "
        r"\(256, 2048, 1, 1\); load it with the ModelConfig",
    ),
    "not a number": (
        "a.pth",
        partial(save, make=lambda: changed("backbone.bn1.bias", torch.tensor([0.0] * 63 + [torch.nan]))),
        r"backbone\.bn1\.bias contains NaN or infinite values",
    ),
    "infinite": (
        "yolact_darknet53.pth",
        partial(
            save,
            make=lambda: changed(
                "proto_net.10.bias", torch.tensor([0.0] * 31 + [-torch.inf]), CONFIGS["yolact_darknet53"]
            ),
        ),
        r"proto_net\.10\.bias contains NaN or infinite values",
    ),
}


def message_of(path: Path, *arguments: Any, error: type[YolactError] = CheckpointError) -> str:
    """The one line that refuses the file."""
    with pytest.raises(error) as caught:
        load_checkpoint(path, *arguments)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "a traceback would show"
    return message


@pytest.mark.parametrize(("file_name", "write", "pattern"), REJECTED.values(), ids=REJECTED)
def test_rejected(tmp_path: Path, file_name: str, write: Callable[[Path], Any], pattern: str) -> None:
    write(tmp_path / file_name)
    message = message_of(tmp_path / file_name)
    assert re.search(pattern, message), message


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    path, marker = tmp_path / "yolact_base_1_2.pth", tmp_path / "ran"
    content = {**hollow_state(CONFIGS["yolact_base"]), "extra": Payload(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    message = message_of(path)
    assert "contains code (" in message
    assert "mkdir" in message
    assert "was refused" in message
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the payload is harmless, so this test shows nothing"


@pytest.mark.parametrize("config", [None, RESNET50, with_classes(RESNET50, 3)])
def test_class_names_of_the_wrong_number(tmp_path: Path, config: ModelConfig | None) -> None:
    torch.save(hollow_state(with_classes(RESNET50, 3)), tmp_path / "a.pth")
    message = message_of(tmp_path / "a.pth", config, ["cap", "label"], error=UsageError)
    assert "has 3 classes, but 2 class names were given" in message


def test_own_class_names_of_the_wrong_number(tmp_path: Path) -> None:
    torch.save(hollow_state(with_classes(RESNET50, 3)), tmp_path / "a.pth")
    message = message_of(tmp_path / "a.pth", with_classes(RESNET50, 4))
    assert "has 3 classes, but 4 class names were given" in message


def test_configuration_that_does_not_fit(tmp_path: Path) -> None:
    torch.save(hollow_state(RESNET50), tmp_path / "yolact_resnet50_1_2.pth")
    message = message_of(tmp_path / "yolact_resnet50_1_2.pth", CONFIGS["yolact_plus_resnet50"])
    assert "does not fit yolact_plus_resnet50: backbone.layers.1.0.conv2.bias is missing" in message
    assert message.endswith("; pass --config yolact_resnet50 or yolact_resnet50_pascal")


def test_weights_that_are_there_twice(tmp_path: Path) -> None:
    state = hollow_state(RESNET50)
    name = "proto_net.0.weight"
    torch.save(state | {f"module.{name}": state[name] * 0}, tmp_path / "twice.pth")
    with pytest.raises(CheckpointError, match=rf"twice\.pth: {name} is there twice"):
        load_checkpoint(tmp_path / "twice.pth")


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    state = hollow_state(RESNET50)
    name = "proto_net.0.weight"
    torch.save(state | {name: torch.zeros((), dtype=torch.int8).expand(state[name].shape)}, tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match=f"{name} has whole numbers instead of weights"):
        load_checkpoint(tmp_path / "whole.pth", RESNET50)
