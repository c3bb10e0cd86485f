"""The training loop: gradient steps on batches, whose state can be taken and restored exactly. It writes no files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import CheckpointError, UsageError, YolactError
from yolact.runtime.fields import exactly, positive, shown, whole
from yolact.runtime.wording import one_line
from yolact.training.data.loading import Batch, Stream, load_batches
from yolact.training.loss import YolactLoss
from yolact.training.matching import Matches
from yolact.training.models.model import Yolact
from yolact.training.processes import Processes
from yolact.training.settings import TrainSettings

STATISTICS_BATCH = 6
"""Images per device below which batch norms stay as they are, parameters and all (official train.py, freeze_bn)."""

MAX_SCALE = 2.0**100
"""Largest scale of the loss, in fp16: it doubles as long as no gradient overflows."""

_MOMENTUM = "momentum_buffer"

_AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "off": torch.float32}


class _NetworkAndLoss(nn.Module):
    """Network and loss in one forward pass, so that DistributedDataParallel sees every use of a parameter."""

    def __init__(self, model: Yolact, settings: TrainSettings, device: torch.device) -> None:
        super().__init__()
        self.model = model
        self.loss = YolactLoss(model.config, model.predict_mask_iou if model.config.mask_rescoring else None)
        self._amp = torch.autocast(device.type, _AMP_TYPES[settings.amp], enabled=settings.amp != "off")

    def forward(self, batch: Batch, matches: Matches, positives: Tensor, images: float) -> dict[str, Tensor]:
        pixels = self.model.normalize(batch.images).contiguous(memory_format=torch.channels_last)
        with self._amp:
            heads = self.model(pixels)
        heads = heads._make(tensor.float() for tensor in heads)
        return self.loss(heads, batch.targets, matches, positives, images)


class LossNotFinite(YolactError):
    """The loss of a gradient step is NaN or infinite in all processes alike; the step was not taken.

    Attributes:
        iteration: the step, counted from 0.
        terms: of the loss, by name.
        batches: those of which this process computed its share of the loss.
    """

    def __init__(self, iteration: int, terms: dict[str, float], batches: list[Batch]) -> None:
        listed = ", ".join(f"{name} {value:g}" for name, value in terms.items())
        super().__init__(f"the loss is not finite at iteration {iteration} ({listed})")
        self.iteration, self.terms, self.batches = iteration, terms, batches


def loss_terms(config: ModelConfig) -> tuple[str, ...]:
    """The terms of the loss as `Trainer.steps` yields them, their sum ``total`` last."""
    return ("box", "mask", "confidence", "segmentation", *["mask_iou"] * config.mask_rescoring, "total")


class Trainer:
    """Trains one network; every process of a distributed run has one."""

    def __init__(
        self, model: Yolact, stream: Stream, settings: TrainSettings, processes: Processes, *, workers: int = 0
    ) -> None:
        """
        Args:
            model: network to train; moved to the device.
            stream: images to learn from.
            settings: those that the numbers depend on.
            processes: which of how many this one is.
            workers: processes that prepare images, for each that trains.

        Raises UsageError where the batch cannot be divided among processes and accumulated batches, or the backbone
        has fewer stages than are to be frozen.
        """
        self.model, self.settings, self.processes = model.to(processes.device), settings, processes
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.iteration = 0
        self.images_per_batch = settings.batch_size_per_device(processes.world)
        self._stream, self._workers = stream, workers
        self._kept = self._frozen_modules()
        for module in self._kept:
            module.requires_grad_(False)
        self._module: nn.Module = _NetworkAndLoss(self.model, settings, processes.device)
        self._loss: YolactLoss = self._module.loss
        if processes.world > 1:
            # A batch without a large object gives the re-scoring network no gradient.
            self._module = DistributedDataParallel(self._module, find_unused_parameters=model.config.mask_rescoring)
        self._optimizer = torch.optim.SGD(
            self.model.parameters(), settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
        )
        self._scaler = torch.amp.GradScaler(processes.device.type, enabled=settings.amp == "fp16")
        self._names = loss_terms(model.config)[:-1]

    def _frozen_modules(self) -> list[nn.Module]:
        """Modules that keep parameters and statistics: see `TrainSettings.frozen_stages` and `STATISTICS_BATCH`."""
        stages, count = self.model.backbone.stages, self.settings.frozen_stages
        if count > len(stages):
            raise UsageError(
                f"--freeze {count} is more than the {len(stages)} stages that the backbone "
                f"{self.model.config.backbone} has, its first convolution among them"
            )
        frozen = [module for stage in stages[:count] for module in stage]
        if self.images_per_batch < STATISTICS_BATCH:
            frozen += [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        return frozen

    def state(self) -> dict[str, Any]:
        """All that another trainer needs to continue exactly as this one would."""
        return {
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a result of `state`. Raises CheckpointError where it cannot be one for this network.

        Of the optimizer only the momenta are taken: its rates and factors are those of the settings.
        """
        own = self.state()
        try:
            for name, tensor in exactly("the network", state["model"], own["model"]).items():
                _check_tensor(name, tensor, own["model"][name])
            self.model.load_state_dict(state["model"])
            momenta = self._momenta_of(state["optimizer"])
            self._optimizer.load_state_dict({**own["optimizer"], "state": momenta})
            self._scaler.load_state_dict(_scaling(state["scaler"], own["scaler"]))
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = one_line(error)[:200]
            raise CheckpointError(
                f"the state of the run does not fit its network ({reason}); start anew from a checkpoint with --weights"
            ) from None
        self.iteration = state["iteration"]

    def _momenta_of(self, optimizer: object) -> dict[int, dict[str, Tensor]]:
        """The momenta by parameter, each with memory of its own. Raises ValueError for values that are none."""
        kept = exactly("the optimizer", optimizer, ("state", "param_groups"))["state"]
        parameters = list(self.model.parameters())
        if not isinstance(kept, dict):
            raise ValueError(f"the optimizer keeps {shown(kept)}, expected momenta")
        momenta = {}
        for index, entry in kept.items():
            parameter = parameters[whole("the number of a parameter", index, 0, len(parameters) - 1)]
            name = f"the momentum of parameter {index}"
            momentum = exactly(name, entry, (_MOMENTUM,))[_MOMENTUM]
            _check_tensor(name, momentum, parameter)
            momenta[index] = {_MOMENTUM: momentum.clone()}
        return momenta

    def steps(self) -> Iterator[dict[str, float]]:
        """Take gradient steps up to the last iteration, yielding after each the weighted terms of its loss, averaged
        over all processes, with their sum as ``total`` and the ``learning_rate``.

        Raises LossNotFinite, DatasetError or ImageError between two steps, where a batch cannot be learnt from.
        """
        batches = load_batches(
            self._stream,
            self.images_per_batch,
            first_batch=self.iteration * self.settings.accumulate,
            rank=self.processes.rank,
            world=self.processes.world,
            workers=self._workers,
            pin_memory=self.processes.device.type == "cuda",
        )
        while self.iteration < self.settings.iterations:
            self._train_mode()
            yield self._step(batches)

    def _train_mode(self) -> None:
        self.model.train()
        for module in self._kept:
            module.eval()

    def _step(self, batches: Iterator[Batch]) -> dict[str, float]:
        settings, processes = self.settings, self.processes
        rate = settings.learning_rate_at(self.iteration)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # The loss samples masks: a function of seed, iteration and process, so that a resumed run draws the same.
        torch.manual_seed(((settings.seed << 40) + (self.iteration << 12) + processes.rank) % 2**63)
        parts = [next(batches).to(processes.device) for _ in range(settings.accumulate)]
        matches = [self._loss.match(part.targets) for part in parts]
        positives = processes.sum(torch.stack([m.positive_count for m in matches]).sum().float())
        self._optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(len(self._names), device=processes.device)
        for number, (part, matched) in enumerate(zip(parts, matches, strict=True), 1):
            # Gradients are averaged over processes, so each divides by its share of what all of them see.
            share = (positives / processes.world, settings.batch_size / processes.world)
            last = number == len(parts)
            with nullcontext() if last or processes.world == 1 else self._module.no_sync():  # type: ignore[operator]
                terms = self._module(part, matched, *share)
                self._scaler.scale(torch.stack(list(terms.values())).sum()).backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([terms[name].detach() if name in terms else sums.new_zeros(()) for name in self._names])
        values = dict(zip(self._names, (processes.sum(sums) / processes.world).tolist(), strict=True))
        values["total"] = sum(values.values())
        if values["total"] - values["total"] != 0:  # NaN or infinite, in every process alike
            raise LossNotFinite(self.iteration, values, parts)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.iteration += 1
        return {**values, "learning_rate": rate}


def _check_tensor(name: str, tensor: object, like: Tensor) -> None:
    """Raise ValueError for a value that is no tensor, for another type or shape, and for values that are not finite."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} is {shown(tensor)}, expected a tensor")
    if (tensor.dtype, tensor.shape) != (like.dtype, like.shape):
        kinds = [f"{str(one.dtype).removeprefix('torch.')} {tuple(one.shape)}" for one in (tensor, like)]
        raise ValueError(f"{name} is {kinds[0]}, expected {kinds[1]}")
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} has NaN or infinite values")


def _scaling(kept: object, own: dict[str, Any]) -> dict[str, Any]:
    """The loss scale of mixed precision; how it changes is ours. Raises ValueError for a value that is none."""
    if not own:  # without fp16 nothing is scaled
        if kept:
            raise ValueError(f"the scaler is {shown(kept)}, expected none")
        return own
    found = exactly("the scaler", kept, own)
    scale = positive("the scale", found["scale"], MAX_SCALE)
    tracker = "_growth_tracker"
    return {**own, "scale": scale, tracker: whole("the scale's steps", found[tracker], 0, own["growth_interval"])}
