"""Reports a run's progress to its user: lines, bar, TensorBoard, and the files about the run."""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np
from tqdm import tqdm

from yolact.runtime.wording import Say
from yolact.training.data.datasets import Dataset
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.monitor import Monitor
from yolact.training.run_folder import RunFolder
from yolact.training.story.pace import Pace, duration
from yolact.training.story.page import percent
from yolact.training.story.samples import training_samples, validation_samples
from yolact.training.story.story import RunStory
from yolact.training.train_request import TrainRequest
from yolact.training.trainer import Trainer
from yolact.training.validation import Validator

MOST_BETWEEN_LINES, LEAST_LINES = 20, 20
"""Iterations whose losses are averaged in one line at most, and lines that a run has at least, if it has the steps."""

_QUIET_SECONDS, _QUIET_SHARE = 10.0, 0.02
"""Where there is no bar, the time left is told after so many seconds, or this share of it where that is more."""


def line_rhythm(iterations: int) -> int:
    """Iterations from one line to the next in a run of so many."""
    return min(MOST_BETWEEN_LINES, max(1, iterations // LEAST_LINES))


class Reporter:
    """Reports the progress of training from the first process."""

    def __init__(
        self,
        request: TrainRequest,
        trainer: Trainer,
        dataset: Dataset,
        truth: GroundTruth | None,
        folder: RunFolder,
        story: RunStory,
        say: Say,
        note: Say,
    ) -> None:
        """``truth``: the validation data, if there is any. Raises YolactError where one of its images is broken."""
        self.say, self.story = say, story
        self._request, self._trainer, self._folder, self._note = request, trainer, folder, note
        self._images = len(dataset)
        self._recent: list[dict[str, float]] = []
        self._rhythm = line_rhythm(request.settings.iterations)
        config = trainer.model.config
        samples = training_samples(dataset, config) if truth is None else validation_samples(truth, config)
        settings = {"data": request.data, "config": config.to_json(), **vars(request.settings)}
        resumed_at = trainer.iteration if request.resume else None
        self._monitor = Monitor(
            request.output, wandb=request.wandb, name=request.config.name, settings=settings, resumed_at=resumed_at
        )
        story.begin(resumed_at)
        self._validator = Validator(trainer.model, self._monitor, truth, samples, request.postprocess)

    def __enter__(self) -> Reporter:
        self._monitor.__enter__()
        total, start = self._trainer.settings.iterations, self._trainer.iteration
        self._bar = tqdm(total=total, initial=start, unit=" steps", disable=None)
        self._pace = Pace(total, self._request.save_every)
        self._since = self._told = self._paused = time.perf_counter()
        self._has_estimate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if kind is not None and issubclass(kind, Exception):  # the curves show the steps before the error
            self.story.renew(self._trainer.iteration)
        self._monitor.close()

    @property
    def is_out_of_patience(self) -> bool:
        """Whether mask AP has not become better for as long as the user waits."""
        patience = self._request.patience
        return patience is not None and self.story.record.without_progress >= patience

    def step(self, terms: dict[str, float]) -> None:
        """Take in the terms of a gradient step; now and then a line is printed."""
        self._bar.update()
        self._pace.step()
        self._recent.append(terms)
        if self._trainer.iteration % self._rhythm == 0:
            self._report_recent()
        self._tell_time()

    def before_saving(self) -> None:
        """A line for the steps since the last one, and the metrics of all that is about to be saved."""
        self._paused = time.perf_counter()
        self._report_recent()
        self.story.save_metrics()

    def after_saving(self, *, interrupted: bool) -> None:
        """Validate where training goes on or has ended, and bring the files about the run up to date.

        Raises YolactError where the best weights, or the state that the run is resumed from, cannot be written.
        """
        if not interrupted:
            self.validate()
        self.story.save_record()
        self.story.renew(self._trainer.iteration)
        pause = time.perf_counter() - self._paused
        self._since += pause  # it does not count as time of training
        self._pace.paused(pause)

    def validate(self) -> None:
        """Measure average precision and draw the samples; the best weights so far are written."""
        iteration, record = self._trainer.iteration, self.story.record
        self.story.save_pictures(self._validator.draw(iteration), iteration)
        validation = self._validator.measure(iteration)
        if validation is None:
            return
        self.story.add_validation(validation)
        before, best = record.best, self.story.record.best
        if best == validation:
            self._folder.save_best(self._trainer.model)
        compared = "" if before is None else f" (best {percent(best.mask_ap if best else None)})"
        self.say(
            f"{iteration} | validation: box AP {percent(validation.box_ap)}, mask AP "
            f"{percent(validation.mask_ap)}{' (best so far)' if best == validation else compared}"
        )

    def _report_recent(self) -> None:
        """A line, a row and points of the curves, for the means since the last ones."""
        if not self._recent:
            return
        iteration, now = self._trainer.iteration, time.perf_counter()
        batch_size = self._request.settings.batch_size
        rate = len(self._recent) * batch_size / max(now - self._since, 1e-9)
        self._since = now
        learning_rate = self._recent[-1]["learning_rate"]
        names = [name for name in self._recent[0] if name != "learning_rate"]
        means = {name: float(np.mean([terms[name] for terms in self._recent])) for name in names}
        self._recent.clear()
        losses = " | ".join(f"{name} {value:.3f}" for name, value in means.items())
        self.say(f"{iteration} | {losses} | lr {learning_rate:.2g} | {rate:.1f} images/s")
        scalars = {f"loss/{name}": value for name, value in means.items()}
        self._monitor.scalars({**scalars, "learning rate": learning_rate, "images per second": rate}, iteration)
        epoch = iteration * batch_size / self._images
        where = {"iteration": float(iteration), "epoch": epoch}
        self.story.add({**where, **means, "learning_rate": learning_rate, "images_per_second": rate})

    def _tell_time(self) -> None:
        """Note the time left: as soon as steps were timed, later now and then where no bar shows it."""
        iteration, total = self._trainer.iteration, self._trainer.settings.iterations
        left = self._pace.seconds_left(iteration)
        if left is None or iteration == total:
            return
        now = time.perf_counter()
        if not self._has_estimate:
            self._has_estimate, self._told = True, now
            step = self._pace.seconds_a_step or 0
            self._note(f"a step takes {step:.2g} s; {total - iteration} more take about {duration(left)}")
        elif self._bar.disable and now - self._told > max(_QUIET_SECONDS, _QUIET_SHARE * left):
            self._told = now
            self._note(f"{iteration} of {total} iterations, about {duration(left)} left")
