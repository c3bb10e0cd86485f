"""A training run from request to checkpoints: opens data and network, trains, validates, saves."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

import torch

from yolact.runtime.errors import DatasetError, ImageError, UsageError, YolactError
from yolact.runtime.signals import StopRequest
from yolact.runtime.wording import Say, count_noun
from yolact.training.data.datasets import Dataset, open_dataset
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.data.loading import Stream
from yolact.training.models.checkpoints import check_finite
from yolact.training.models.initial_weights import initial_model
from yolact.training.processes import Processes
from yolact.training.reporter import Reporter
from yolact.training.run_folder import RunFolder, check_classes
from yolact.training.run_start import RunStart
from yolact.training.story.opening import WEIGHTS, table_lines, tell_opening, tell_origin
from yolact.training.story.page import best_so_far, next_commands
from yolact.training.story.story import RunStory
from yolact.training.train_request import TrainRequest
from yolact.training.trainer import STATISTICS_BATCH, LossNotFinite, Trainer, loss_terms
from yolact.training.validation import open_validation

logger = logging.getLogger(__name__)


def run_training(request: TrainRequest, say: Say, note: Say) -> int:
    """Train, with lines to `say` about events, and to `note` about the time left.

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
        folder.check_inputs(request.config.name, request.input_files(), request.image_folders())
        start = RunStart.find(request, folder)
        processes.wait()
        if start.is_finished:
            if processes.is_first:
                _tell_finished(start, say)
            return 0
        return _open(start, processes, stack, say, note).train()


def _tell_finished(start: RunStart, say: Say) -> None:
    """Say so, and bring its files up to date, of which a run that was killed at its end leaves older ones."""
    request, record = start.request, start.record
    if record.facts:
        story = RunStory(start.folder, request, record, loss_terms(request.config))
        story.begin(start.iteration)
        story.renew(start.iteration, finished=True)
    complete = start.iteration == request.settings.iterations
    why = f"it has all {start.iteration} iterations" if complete else _given_up(request, start.iteration)
    say(f"{request.output} is finished: {why}. {best_so_far(request, record)}")
    for command in next_commands(request, record, finished=True):
        say(f"next: {command}")


def _given_up(request: TrainRequest, iteration: int) -> str:
    return (
        f"mask AP has not become better in {count_noun(request.patience or 0, 'validation')}, at iteration {iteration} "
        f"of {request.settings.iterations} (a larger --patience goes on)"
    )


def _open(start: RunStart, processes: Processes, stack: ExitStack, say: Say, note: Say) -> _Run:
    """Data, network and reporter of a run, with its opening table."""
    request = start.request
    dataset = open_dataset(request.data, request.rules)
    config = request.config.with_classes(dataset.class_names, dataset.category_ids)
    if start.state is not None:
        check_classes(start.state, config)
    # A resumed run gets its weights from the state; those it began with are of no use.
    model, fresh = initial_model(config, request.settings.seed, None if request.resume else request.weights)
    if processes.is_first:
        _warn_of_start(request, processes.world, fresh, say)
    stream = Stream(dataset, config, request.settings.seed, request.settings.augmentation)
    trainer = Trainer(model, stream, request.settings, processes, workers=request.workers)
    if start.state is not None:
        trainer.restore(start.state)
    if not processes.is_first:
        return _Run(start, trainer, len(dataset), None)
    truth = None
    if request.validation is not None:
        truth = open_validation(request.validation, request.output, config, request.rules)
        _check_patience(request, truth)
    story = _begin_story(start, trainer, dataset, truth, say)
    reporter = Reporter(request, trainer, dataset, truth, start.folder, story, say, note)
    story.save_record()
    return _Run(start, trainer, len(dataset), stack.enter_context(reporter))


def _begin_story(start: RunStart, trainer: Trainer, dataset: Dataset, truth: GroundTruth | None, say: Say) -> RunStory:
    """The story with its facts, which are printed."""
    request = start.request
    known = dict(start.record.facts)
    began = {title: told for title, told in known.items() if title == WEIGHTS}
    opening = tell_opening(request, dataset, truth, trainer.model, trainer.processes) | began
    origin = tell_origin(request)
    for title, digest in origin.items():
        if title.startswith("sha256") and known.get(title, digest) != digest:
            logger.warning("the %s is %s, but it was %s when the run began", title, digest, known[title])
    for line in table_lines({**opening, "results": str(request.output), "time": "told after the first steps"}):
        say(line)
    if start.state is not None:
        before, after = start.state["settings"]["iterations"], request.settings.iterations
        falls = ", ".join(map(str, request.settings.learning_rate_steps)) or "no iteration"
        extended = f", extended from {before} to {after}; the learning rate falls at {falls}" if after > before else ""
        say(f"goes on from iteration {trainer.iteration}{extended}")
    started = known.get("started", datetime.now().astimezone().isoformat(" ", "seconds"))
    files = {title: told for title, told in known.items() if title.startswith("sha256")}
    facts = {"started": started, **opening, **files, **origin}
    record = replace(start.record, facts=tuple(facts.items()))
    return RunStory(start.folder, request, record, loss_terms(trainer.model.config))


def _check_patience(request: TrainRequest, truth: GroundTruth) -> None:
    if request.patience is not None and not truth.count_objects():
        raise UsageError(f"--patience needs objects on the images of --val, got none in {request.validation}")


def _warn_of_start(request: TrainRequest, processes: int, fresh: list[str], say: Say) -> None:
    if fresh:
        say(f"{request.weights} has nothing for these classes in {', '.join(fresh)}, which start from random weights")
    is_new = request.weights is None and not request.resume
    if is_new and request.settings.batch_size_per_device(processes) < STATISTICS_BATCH:
        logger.warning(
            "below %d images per device batch norms stay as they are, so a network hardly learns from random weights: "
            "give --weights or a larger --batch-size",
            STATISTICS_BATCH,
        )


class _Run:
    """One run: takes gradient steps until the end or a signal, and saves."""

    def __init__(self, start: RunStart, trainer: Trainer, images: int, reporter: Reporter | None) -> None:
        self._request, self._folder, self._trainer, self._reporter = start.request, start.folder, trainer, reporter
        self._images, self._validation_due = images, start.is_validation_due

    def train(self) -> int:
        """Train; returns the number of the signal that ended the run, 0 where it went to its end."""
        trainer = self._trainer
        with StopRequest() as stop:
            try:
                return self._take_steps(stop)
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

    def _take_steps(self, stop: StopRequest) -> int:
        request, trainer = self._request, self._trainer
        total = request.settings.iterations
        if self._validation_due:
            self._after_saving(interrupted=False)
        if not self._gives_up():
            for terms in trainer.steps():
                if self._reporter:
                    self._reporter.step(terms)
                signal = trainer.processes.largest(stop.signal)
                if signal and trainer.iteration < total:
                    self._save(interrupted=True)
                    return signal
                if trainer.iteration % request.save_every == 0 or trainer.iteration == total:
                    self._save()
                    if self._gives_up():
                        break
        if self._reporter:
            self._finish(self._reporter)
        return 0

    def _gives_up(self) -> bool:
        """Whether patience is at its end, which the first process tells all others."""
        is_over = self._reporter is not None and self._reporter.is_out_of_patience
        return bool(self._trainer.processes.largest(int(is_over)))

    def _finish(self, reporter: Reporter) -> None:
        iteration, record = self._trainer.iteration, reporter.story.record
        reporter.story.renew(iteration, finished=True)
        why = "" if iteration == self._request.settings.iterations else f": {_given_up(self._request, iteration)}"
        reporter.say(f"finished{why}. {best_so_far(self._request, record)}")
        reporter.say(f"next: {next_commands(self._request, record, finished=True)[0]}")

    def _save(self, *, interrupted: bool = False) -> None:
        """Checkpoint and state; where training goes on, or has come to its end, also a validation."""
        if self._reporter:
            trainer, request = self._trainer, self._request
            self._reporter.before_saving()
            check_finite(trainer.model.state_dict())  # before the state takes the place of the last good one
            epoch = (trainer.iteration - 1) * request.settings.batch_size // self._images
            iteration = f"{trainer.iteration}_interrupt" if interrupted else f"{trainer.iteration}"
            path = self._folder.save_weights(trainer.model, epoch, iteration)
            self._folder.save_state(trainer.state(), trainer.model.config, request.settings, request.data_as_read)
            self._reporter.say(f"saved {path}")
        self._after_saving(interrupted=interrupted)

    def _after_saving(self, *, interrupted: bool) -> None:
        """The work after a state is on the disk; a run that was ended during it takes it up again."""
        if self._reporter:
            self._reporter.after_saving(interrupted=interrupted)
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
