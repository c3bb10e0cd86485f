"""A training run from request to checkpoints: opens data and network, trains, reports, validates, saves."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import DatasetError, ImageError, UsageError, YolactError
from yolact.runtime.signals import StopRequest
from yolact.runtime.wording import Say
from yolact.training.data.coco.reading_rules import USUAL, ReadingRules
from yolact.training.data.datasets import Dataset, DatasetSpec, open_dataset
from yolact.training.data.loading import Stream
from yolact.training.models.checkpoints import check_finite
from yolact.training.models.initial_weights import initial_model
from yolact.training.monitor import Monitor
from yolact.training.processes import Processes
from yolact.training.run_folder import RunFolder
from yolact.training.settings import TrainSettings
from yolact.training.trainer import STATISTICS_BATCH, LossNotFinite, Trainer
from yolact.training.validation import PICTURES, Validator, open_validation

logger = logging.getLogger(__name__)

LOG_EVERY = 20
"""Iterations whose losses are averaged in one line."""


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for.

    Attributes:
        config: architecture; the dataset's classes take the place of its own.
        settings: what the numbers depend on.
        data: training data, see `datasets.DatasetSpec`.
        output: folder of the run.
        validation: data to measure average precision on, likewise; None for none.
        weights: see `initial_weights.initial_model`.
        resume: continue the run in ``output``.
        device: see `Processes`.
        workers: processes that prepare images, for each that trains.
        save_every: iterations between checkpoints, each with pictures and average precision.
        wandb: log to Weights & Biases too.
        rules: how annotations and their images are read.
    """

    config: ModelConfig
    settings: TrainSettings
    data: str
    output: Path
    validation: str | None = None
    weights: Path | None = None
    resume: bool = False
    device: str = "auto"
    workers: int = 2
    save_every: int = 10_000
    wandb: bool = False
    rules: ReadingRules = USUAL

    @property
    def data_as_read(self) -> str:
        """What the numbers depend on of the training data; a run goes on with the same."""
        return self.data if self.rules.exif == USUAL.exif else f"{self.data} --exif {self.rules.exif}"

    def input_files(self) -> list[Path]:
        """The files that the run reads, but for the images. Raises UsageError where the data is none."""
        specs = [DatasetSpec.parse(spec) for spec in (self.data, self.validation) if spec is not None]
        weights = [] if self.weights is None or self.resume else [self.weights, self.weights.with_suffix(".json")]
        return [*weights, *(spec.annotations for spec in specs if not spec.scenes)]


def run_training(request: TrainRequest, say: Say) -> int:
    """Train, with a line to `say` now and then.

    Returns the number of the signal that ended it early, 0 where it went to its end.

    Raises YolactError where data, weights, folder or settings do not fit, or the loss is not finite.
    """
    with Processes(request.device) as processes, ExitStack() as stack:
        folder = RunFolder(request.output)
        may_write = not processes.is_first or stack.enter_context(folder.locked())
        if processes.largest(int(not may_write)):
            raise UsageError(f"another training writes into {request.output}; wait for it or choose another --output")
        request.settings.batch_size_per_device(processes.world)
        if not request.resume:
            folder.check_unused()
        folder.check_inputs(request.config.name, request.input_files())
        processes.wait()
        dataset = open_dataset(request.data, request.rules)
        config = request.config.with_classes(dataset.class_names, dataset.category_ids)
        # A resumed run gets its weights from the state; those it began with are of no use.
        model, fresh = initial_model(config, request.settings.seed, None if request.resume else request.weights)
        if processes.is_first:
            _tell_about_start(request, processes.world, fresh, say)
        stream = Stream(dataset, config, request.settings.seed, request.settings.augmentation)
        trainer = Trainer(model, stream, request.settings, processes, workers=request.workers)
        if request.resume:
            trainer.restore(folder.load_state(config, request.settings, request.data_as_read))
            if processes.is_first and trainer.iteration == request.settings.iterations:
                say(f"{request.output} is complete: it has all {trainer.iteration} iterations")
        reporter = stack.enter_context(_Reporter(request, trainer, dataset, say)) if processes.is_first else None
        return _Run(request, trainer, folder, len(dataset), reporter).train()


def _tell_about_start(request: TrainRequest, processes: int, fresh: list[str], say: Say) -> None:
    if fresh:
        say(f"{request.weights} has nothing for these classes in {', '.join(fresh)}, which start anew")
    is_new = request.weights is None and not request.resume
    if is_new and request.settings.batch_size_per_device(processes) < STATISTICS_BATCH:
        logger.warning(
            "below %d images per device batch norms stay as they are, with which a network hardly learns from nothing: "
            "give --weights or a larger --batch-size",
            STATISTICS_BATCH,
        )


class _Run:
    """One run: takes gradient steps until the end or a signal, and saves."""

    def __init__(
        self, request: TrainRequest, trainer: Trainer, folder: RunFolder, images: int, reporter: _Reporter | None
    ) -> None:
        self._request, self._trainer, self._folder, self._reporter = request, trainer, folder, reporter
        self._images = images

    def train(self) -> int:
        """Train; returns the number of the signal that ended the run, 0 where it went to its end."""
        request, trainer = self._request, self._trainer
        total = request.settings.iterations
        with StopRequest() as stop:
            try:
                for terms in trainer.steps():
                    if self._reporter:
                        self._reporter.step(terms)
                    signal = trainer.processes.largest(stop.signal)
                    if signal and trainer.iteration < total:
                        self._save(interrupted=True)
                        return signal
                    if trainer.iteration % request.save_every == 0 or trainer.iteration == total:
                        self._save()
            except LossNotFinite as error:
                rank = trainer.processes.rank
                path = self._folder.save_broken_batch(error.iteration, rank, error.terms, error.batches)
                raise YolactError(
                    f"{error}; the batch is in {path}. Lower --lr and continue from the last checkpoint with --weights"
                ) from error
            except (DatasetError, ImageError):  # raised between two steps, so the state is whole
                if trainer.processes.world == 1 and trainer.iteration:
                    self._save(interrupted=True)
                raise
            except (RuntimeError, MemoryError) as error:
                explained = _explained(error, trainer.processes.world)
                if explained is None:
                    raise
                raise explained from error
        return 0

    def _save(self, *, interrupted: bool = False) -> None:
        """Checkpoint and state; where training goes on, or has come to its end, also a validation."""
        if self._reporter:
            trainer, request = self._trainer, self._request
            check_finite(trainer.model.state_dict())  # before the state takes the place of the last good one
            epoch = (trainer.iteration - 1) * request.settings.batch_size // self._images
            iteration = f"{trainer.iteration}_interrupt" if interrupted else f"{trainer.iteration}"
            path = self._folder.save_weights(trainer.model, epoch, iteration)
            self._folder.save_state(trainer.state(), trainer.model.config, request.settings, request.data_as_read)
            self._reporter.say(f"saved {path}")
            if not interrupted:
                self._reporter.validate()
        self._trainer.processes.wait()


def _explained(error: RuntimeError | MemoryError, processes: int) -> YolactError | None:
    """An error for the user in place of what PyTorch or the system raised; None where its cause is unknown."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return YolactError(
            f"memory ran out ({error}); use a smaller --batch-size, --accumulate or --amp, and begin again from the "
            "last checkpoint"
        )
    if "DataLoader worker" in str(error):  # raised wherever this process happens to be
        return YolactError(f"a process that prepares images ended ({error}); if memory ran out, use fewer --workers")
    if processes > 1 and any(word in str(error) for word in ("gloo", "NCCL", "Connection closed")):
        return YolactError("another process of this run ended; its own message says why")
    return None


class _Reporter:
    """Tells the first process's user how training goes: bar, lines, TensorBoard."""

    def __init__(self, request: TrainRequest, trainer: Trainer, dataset: Dataset, say: Say) -> None:
        self.say = say
        self._trainer, self._batch_size = trainer, request.settings.batch_size
        self._recent: deque[dict[str, float]] = deque(maxlen=LOG_EVERY)
        truth = None
        if request.validation is not None:
            truth = open_validation(request.validation, request.output, trainer.model.config, request.rules)
        count = min(PICTURES, len(dataset) if truth is None else len(truth.images))
        pictures = [np.asarray(dataset[i].image, np.uint8) if truth is None else truth.read(i) for i in range(count)]
        settings = {"data": request.data, "config": trainer.model.config.to_json(), **vars(request.settings)}
        resumed_at = trainer.iteration if request.resume else None
        self._monitor = Monitor(
            request.output, wandb=request.wandb, name=request.config.name, settings=settings, resumed_at=resumed_at
        )
        self._validator = Validator(trainer.model, self._monitor, truth, pictures)

    def __enter__(self) -> _Reporter:
        self._monitor.__enter__()
        total, start = self._trainer.settings.iterations, self._trainer.iteration
        self._bar = tqdm(total=total, initial=start, unit=" steps", disable=None)
        self._since = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self._monitor.close()

    def step(self, terms: dict[str, float]) -> None:
        """Take in the terms of a gradient step; after every `LOG_EVERY` of them a line is printed."""
        self._bar.update()
        self._recent.append(terms)
        if self._trainer.iteration % LOG_EVERY == 0:
            self._report()

    def validate(self) -> None:
        """Validate, and print average precision. The time this takes does not count as the time of training."""
        start = time.perf_counter()
        scores = self._validator.validate(self._trainer.iteration)
        if scores is not None:
            box, mask = (100 * (region.ap or 0) for region in (scores.box, scores.mask))
            self.say(f"validation: box AP {box:.2f}, mask AP {mask:.2f}")
        self._since += time.perf_counter() - start

    def _report(self) -> None:
        iteration, now = self._trainer.iteration, time.perf_counter()
        rate = len(self._recent) * self._batch_size / (now - self._since)
        self._since = now
        means = {name: float(np.mean([terms[name] for terms in self._recent])) for name in self._recent[0]}
        learning_rate = means.pop("learning_rate")
        losses = " | ".join(f"{name} {value:.3f}" for name, value in means.items())
        self.say(f"{iteration} | {losses} | lr {learning_rate:.2g} | {rate:.1f} images/s")
        scalars = {f"loss/{name}": value for name, value in means.items()}
        self._monitor.scalars({**scalars, "learning rate": learning_rate, "images per second": rate}, iteration)
        self._recent.clear()
