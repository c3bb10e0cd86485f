"""The files of a run for its reader besides weights: metrics, curves, sample pictures and page, renewed as it goes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import cv2

from yolact.runtime.images.arrays import Image
from yolact.training.run_folder import PAGE_FILE, RunFolder
from yolact.training.run_record import RECORD_FILE, RunRecord, Validation
from yolact.training.story.curves import CURVES_FILE, draw_curves
from yolact.training.story.metrics_table import AP_COLUMNS, MetricsTable, Row
from yolact.training.story.page import MARK, write_page
from yolact.training.story.samples import SAMPLE_FOLDERS, drop_pictures, file_name
from yolact.training.train_request import TrainRequest

logger = logging.getLogger(__name__)

_COST = 50
"""Metrics, curves and page are renewed after so many times the time that this takes, which is 2 % of it at most."""

_QUIET = 10.0
"""Seconds at least between two renewals, but for those at checkpoints."""


class RunStory:
    """The files that tell of a run. Training goes on where one cannot be written, with a warning.

    Attributes:
        record: options and validations; `save_record` alone raises where it cannot be written, since the run could not
            be resumed without it.
    """

    def __init__(self, folder: RunFolder, request: TrainRequest, record: RunRecord, terms: Sequence[str]) -> None:
        """``terms`` of the loss, their sum last."""
        self.record = record
        self._folder, self._request = folder, request
        self._table = MetricsTable(folder.path, terms)
        self._pictures = folder.path / SAMPLE_FOLDERS[request.validation is None]
        self._seconds_before, self._began = record.seconds, time.perf_counter()
        self._renewed, self._cost = self._began, 0.0
        self._failed: set[str] = set()

    def begin(self, resumed_at: int | None) -> None:
        """Take up the files of an earlier part of the run, up to that iteration; None for a new run."""
        try:
            if fault := self._table.load(resumed_at):
                logger.warning("%s", fault)
            for name in SAMPLE_FOLDERS:
                drop_pictures(self._folder.path / name, after=resumed_at or 0)
        except OSError as error:
            logger.warning("%s: %s; training goes on", error.filename, error.strerror)

    def add(self, row: Row) -> None:
        """A reported iteration. The files are renewed where that has not been done for a while."""
        self._table.add(row)
        since = time.perf_counter() - self._renewed
        if since > max(_QUIET, _COST * self._cost):
            self.renew(int(row["iteration"] or 0))

    def add_validation(self, validation: Validation) -> None:
        """Put the result of a validation into the record and into the row of its iteration."""
        self.record = self.record.with_validation(validation)
        last = self._table.rows[-1] if self._table.rows else {}
        if last.get("iteration") == validation.iteration:
            for name, value in zip(AP_COLUMNS, validation[1:], strict=True):
                last[name] = None if value is None else 100 * value

    def save_record(self) -> None:
        """Write options and validations. Raises YolactError where that fails."""
        elapsed = time.perf_counter() - self._began
        self.record = replace(self.record, seconds=self._seconds_before + elapsed)
        self._folder.write(self._folder.path / RECORD_FILE, self.record.as_bytes())

    def save_metrics(self) -> None:
        """Write the rows, which belong to a state that is about to be saved."""
        self._write(self._table.path.name, self._table.as_bytes())

    def save_pictures(self, pictures: Sequence[Image], iteration: int) -> None:
        """Write the sample pictures of an iteration."""
        for number, picture in enumerate(pictures):
            encoded = cv2.imencode(".jpg", picture)[1]
            self._write(f"{self._pictures.name}/{file_name(iteration, number)}", encoded.tobytes())
        try:
            drop_pictures(self._pictures)
        except OSError as error:
            logger.warning("%s: %s; training goes on", error.filename, error.strerror)

    def renew(self, iteration: int, *, finished: bool = False) -> None:
        """Write metrics, curves and page as they are now."""
        start = time.perf_counter()
        self.record = replace(self.record, seconds=self._seconds_before + start - self._began)
        self.save_metrics()
        if self._table.rows:
            title = f"{self._request.config.name}, {iteration:,} of {self._request.settings.iterations:,} iterations"
            self._write(CURVES_FILE, draw_curves(self._table, title))
        if self._may_write_page():
            page = write_page(self._request, self.record, iteration, finished)
            self._write(PAGE_FILE, page.encode("utf-8", "backslashreplace"))
        self._renewed = time.perf_counter()
        self._cost = self._renewed - start

    def _may_write_page(self) -> bool:
        """Whether the file of that name is an earlier page of a run, or there is none."""
        path = self._folder.path / PAGE_FILE
        try:
            with path.open("rb") as file:
                is_ours = file.read(len(MARK)) == MARK.encode()
        except FileNotFoundError:
            return True
        except OSError:  # a folder, which writing explains
            return True
        if not is_ours:
            self._warn(PAGE_FILE, f"{path} is not of yolact-train and stays as it is, so the run has no page")
        return is_ours

    def _write(self, name: str, content: bytes) -> None:
        fault = self._folder.try_to_write(self._folder.path / name, content)
        if fault:
            self._warn(name.partition("/")[0], f"{fault}; training goes on without it")
        else:
            self._failed.discard(name.partition("/")[0])

    def _warn(self, name: str, fault: str) -> None:
        """Once, until the file could be written again."""
        if name not in self._failed:
            self._failed.add(name)
            logger.warning("%s", fault)
