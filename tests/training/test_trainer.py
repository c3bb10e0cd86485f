"""Gradient steps: against steps written out by hand, and the same however they are divided or interrupted."""

from __future__ import annotations

import copy
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError, UsageError
from yolact.training.data.datasets import SceneDataset
from yolact.training.data.loading import Stream, load_batches
from yolact.training.loss import YolactLoss
from yolact.training.models.configs import CONFIGS
from yolact.training.models.initial_weights import initial_model
from yolact.training.models.model import Yolact
from yolact.training.processes import Processes
from yolact.training.run_folder import RunFolder
from yolact.training.settings import TrainSettings
from yolact.training.trainer import LossNotFinite, Trainer

Change = Callable[[dict[str, Any]], object]

SMALL = replace(CONFIGS["yolact_demo"], image_size=64)
SETTINGS = TrainSettings(iterations=6, learning_rate_steps=(4,), batch_size=4, learning_rate=4e-3, warmup=2)


class Scenes(SceneDataset):
    """Each drawn once for all tests."""

    __getitem__ = cache(SceneDataset.__getitem__)


SCENES = Scenes(20, 0)


def make_trainer(config: ModelConfig = SMALL, **changes: Any) -> Trainer:
    settings = replace(SETTINGS, **changes)
    stream = Stream(SCENES, config, settings.seed, settings.augmentation)
    model, _ = initial_model(config, settings.seed)
    return Trainer(model, stream, settings, Processes("cpu"))


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_steps_are_those_written_out_by_hand() -> None:
    """Momentum, decay and learning rate by the formulas of official train.py, in plain tensors."""
    trainer = make_trainer(iterations=3)
    model, _ = initial_model(SMALL, 0)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # four images are fewer than six
            module.eval().requires_grad_(False)
    loss, momenta = YolactLoss(SMALL), {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    batches = load_batches(Stream(SceneDataset(20, 0), SMALL, 0, "full"), 4)
    for step, (batch, found) in enumerate(zip(batches, trainer.steps(), strict=False)):
        torch.manual_seed(step << 12)
        matches = loss.match(batch.targets)
        terms = loss(model(model.normalize(batch.images)), batch.targets, matches, matches.positive_count, 4)
        rate = [1e-4, 1e-4 + (4e-3 - 1e-4) / 2, 4e-3][step]
        assert found["learning_rate"] == pytest.approx(rate)
        assert {name: found[name] for name in terms} == {n: pytest.approx(t.item(), rel=1e-4) for n, t in terms.items()}
        assert found["total"] == pytest.approx(sum(t.item() for t in terms.values()), rel=1e-4)
        model.zero_grad()
        sum(terms.values()).backward()  # type: ignore[union-attr]
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.grad is None:
                    continue
                momenta[name] = 0.9 * momenta[name] + parameter.grad + 5e-4 * parameter
                parameter -= rate * momenta[name]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(trainer.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_accumulated_batches_are_one_batch() -> None:
    """Although they hold different numbers of positive priors."""
    whole, parts = make_trainer(iterations=3), make_trainer(iterations=3, accumulate=4)
    for first, second in zip(whole.steps(), parts.steps(), strict=True):
        assert first == {name: pytest.approx(value, rel=1e-4) for name, value in second.items()}
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def is_of_stages(name: str, frozen: int) -> bool:
    """By MobileNetV2's official names: `backbone.layers.0` is the first convolution."""
    match = re.match(r"backbone\.layers\.(\d+)\.", name)
    return match is not None and int(match[1]) < frozen


@pytest.mark.parametrize("frozen", [0, 3, 7])
def test_frozen_stages_keep_weights_and_statistics(frozen: int) -> None:
    """A batch of eight has statistics of its own, which other stages take."""
    trainer = make_trainer(iterations=2, batch_size=8, warmup=0, frozen_stages=frozen)
    before = weights(trainer)
    list(trainer.steps())
    changed = {name for name, tensor in weights(trainer).items() if not torch.equal(tensor, before[name])}
    backbone = {name for name in before if name.startswith("backbone.")}
    assert changed & backbone == {name for name in backbone if not is_of_stages(name, frozen)}
    assert changed - backbone


@pytest.mark.parametrize(("backbone", "stages"), [("mobilenet_v2", 7), ("resnet50", 5), ("darknet53", 6)])
def test_stages_are_the_whole_backbone(backbone: str, stages: int) -> None:
    with torch.device("meta"):
        found = Yolact(replace(SMALL, backbone=backbone)).backbone
    parameters = [p for stage in found.stages for module in stage for p in module.parameters()]
    assert len(found.stages) == stages and list(map(id, parameters)) == list(map(id, found.parameters()))


def test_no_more_stages_are_frozen_than_there_are() -> None:
    with pytest.raises(UsageError, match="--freeze 8 is more than the 7 stages that the backbone mobilenet_v2 has"):
        make_trainer(frozen_stages=8)


def test_a_restored_run_continues_bit_for_bit(tmp_path: Path) -> None:
    whole, first = make_trainer(accumulate=2), make_trainer(accumulate=2)
    values = list(whole.steps())
    start = list(itertools.islice(first.steps(), 3))
    torch.save(first.state(), tmp_path / "state.pth")
    second = make_trainer(accumulate=2)
    for generator in (torch.manual_seed, np.random.seed, random.seed):  # none of which may matter
        generator(99)
    second.restore(torch.load(tmp_path / "state.pth", weights_only=True))
    assert start + list(second.steps()) == values
    assert_equal(weights(second), weights(whole))


def test_what_a_state_says_of_rates_and_memory_changes_nothing() -> None:
    whole, first, second = (make_trainer(iterations=2, batch_size=1) for _ in range(3))
    expected = list(whole.steps())
    next(first.steps())
    state = first.state()
    state["optimizer"]["param_groups"] = [{"momentum": 5.0, "weight_decay": "x", "maximize": True, "lr": float("nan")}]
    second.restore(state)
    assert list(second.steps()) == expected[1:]
    assert_equal(weights(second), weights(whole))


def momentum(value: Any) -> Change:
    return lambda state: state["optimizer"]["state"].update({0: {"momentum_buffer": value}})


def weight(value: Any) -> Change:
    return lambda state: state["model"].update({"proto_net.0.bias": value})


STEM = torch.zeros(32, 3, 3, 3)
STATES_OF_OTHERS: dict[str, tuple[Change, str]] = {
    "momentum of NaN": (momentum(STEM * float("nan")), "momentum of parameter 0 has NaN or infinite values"),
    "momentum of another type": (momentum(STEM.to(torch.int64)), "is int64 .*, expected float32"),
    "momentum of another shape": (momentum(torch.zeros(3)), r"is float32 \(3,\), expected float32 \(32, 3, 3, 3\)"),
    "no momentum": (momentum(None), "is None, expected a tensor"),
    "momentum that is text": (momentum("x"), "is 'x', expected a tensor"),
    "of another optimizer": (
        lambda state: state["optimizer"]["state"].update({0: {"exp_avg": STEM}}),
        "has no 'momentum_buffer'",
    ),
    "of no parameter": (lambda state: state["optimizer"]["state"].update(x={}), "must be a whole number .*got 'x'"),
    "list of momenta": (lambda state: state["optimizer"].update(state=[STEM]), "expected momenta"),
    "no optimizer": (lambda state: state["optimizer"].clear(), "the optimizer has no 'state'"),
    "weights of NaN": (weight(torch.full((64,), float("nan"))), "proto_net.0.bias has NaN"),
    "weights of another type": (weight(torch.zeros(64, dtype=torch.uint8)), "is uint8 .*, expected float32"),
    "weights that are a number": (weight(3), "is 3, expected a tensor"),
    "one tensor too many": (lambda state: state["model"].update({3: STEM}), "the network has 3, which is none"),
    "one too few": (lambda state: state["model"].pop("proto_net.0.bias"), "has no 'proto_net.0.bias'"),
    "scale of NaN": (lambda state: state["scaler"].update(scale=float("nan")), "the scale must be a number above 0"),
    "scale that never changes": (lambda state: state["scaler"].update(_growth_tracker=10**9), "the scale's steps"),
}


@pytest.mark.parametrize(("change", "message"), STATES_OF_OTHERS.values(), ids=STATES_OF_OTHERS)
def test_states_that_no_trainer_has_are_refused(trained: Trainer, change: Change, message: str) -> None:
    state = copy.deepcopy(trained.state())
    change(state)
    with pytest.raises(CheckpointError, match=message) as caught:
        trained.restore(state)
    assert len(str(caught.value)) < 400


@pytest.fixture(scope="module")
def trained() -> Trainer:
    """After a step."""
    trainer = make_trainer(amp="fp16", batch_size=1)
    next(trainer.steps())
    return trainer


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "x"}, {"RANK": "1"}, {"WORLD_SIZE": "0"}, {"WORLD_SIZE": "1" * 5000}, {"LOCAL_RANK": "-1"}],
    ids=str,
)
def test_an_environment_that_torchrun_did_not_set(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    ((name, value),) = environment.items()
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"the environment variable {name} must be a number from"):
        Processes("cpu")


@pytest.mark.parametrize(("batch_size", "frozen"), [(4, True), (5, True), (6, False)])
def test_small_batches_freeze_the_statistics(batch_size: int, frozen: bool) -> None:
    trainer = make_trainer(batch_size=batch_size)
    before = weights(trainer)
    next(trainer.steps())
    moved = {name for name, tensor in weights(trainer).items() if not torch.equal(tensor, before[name])}
    assert "backbone.layers.0.0.weight" in moved and "proto_net.0.bias" in moved
    for part in ("running_mean", "running_var", "weight", "bias"):
        assert (f"backbone.layers.0.1.{part}" in moved) is not frozen, part


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_starts_at_nearly_the_same_loss(amp: str) -> None:
    exact, mixed = (list(make_trainer(batch_size=2, amp=kind, iterations=2).steps()) for kind in ("off", amp))
    assert mixed[0] == {name: pytest.approx(value, rel=0.02) for name, value in exact[0].items()}
    assert mixed != exact and np.isfinite([step["total"] for step in mixed]).all()


def test_it_learns() -> None:
    trainer = make_trainer(iterations=30, learning_rate_steps=(), batch_size=6, augmentation="none", learning_rate=1e-2)
    totals = [step["total"] for step in trainer.steps()]
    assert np.mean(totals[-5:]) < 0.6 * np.mean(totals[:5])


def test_yolact_plus_learns_mask_iou() -> None:
    config = replace(CONFIGS["yolact_plus_resnet50"].with_classes(SceneDataset.class_names), image_size=256)
    trainer = make_trainer(config, batch_size=1, iterations=1)
    before = weights(trainer)
    (values,) = trainer.steps()
    assert values["mask_iou"] > 0
    assert values["total"] == pytest.approx(sum(values[n] for n in values if n not in ("total", "learning_rate")))
    assert not torch.equal(
        before["maskiou_net.maskiou_net.0.weight"], weights(trainer)["maskiou_net.maskiou_net.0.weight"]
    )


def test_yolact_plus_in_mixed_precision() -> None:
    """Taps are placed in full precision; half would move them by up to a quarter of a pixel."""
    config = replace(CONFIGS["yolact_plus_resnet50"].with_classes(SceneDataset.class_names), image_size=256)
    exact, mixed = (next(make_trainer(config, batch_size=1, amp=amp).steps()) for amp in ("off", "bf16"))
    assert mixed["total"] == pytest.approx(exact["total"], rel=0.05) and mixed != exact


def test_a_loss_that_is_not_finite_ends_training_and_leaves_its_batch(tmp_path: Path) -> None:
    trainer = make_trainer()
    steps = trainer.steps()
    next(steps)
    with torch.no_grad():
        trainer.model.proto_net[0].weight.fill_(float("nan"))
    with pytest.raises(LossNotFinite, match=r"not finite at iteration 1 .*mask nan") as raised:
        next(steps)
    error = raised.value
    path = RunFolder(tmp_path).save_broken_batch(error.iteration, 0, error.terms, error.batches)
    dumped = torch.load(path, weights_only=True)
    batches = load_batches(Stream(SceneDataset(20, 0), SMALL, 0, "full"), 4, first_batch=1)
    assert torch.equal(dumped["batches"][0]["images"], next(batches).images)
    assert dumped["iteration"] == 1 and set(dumped["batches"][0]["targets"][0]) >= {"boxes", "masks"}


def test_a_batch_that_cannot_be_divided() -> None:
    with pytest.raises(UsageError, match="cannot be divided evenly"):
        make_trainer(batch_size=4, accumulate=3)


def test_weights_are_a_function_of_the_seed() -> None:
    first, again, other = (initial_model(SMALL, seed)[0].state_dict() for seed in (1, 1, 2))
    assert_equal(first, again)
    assert not torch.equal(first["proto_net.0.weight"], other["proto_net.0.weight"])
    assert isinstance(initial_model(SMALL, 1)[0], Yolact)
