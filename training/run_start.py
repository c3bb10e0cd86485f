"""The start of a run: in an unused folder, or from the record and the state that an earlier part of it has left."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolact.runtime.errors import CheckpointError
from yolact.training.run_folder import RunFolder
from yolact.training.run_record import RunRecord
from yolact.training.train_request import TrainRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunStart:
    """A run before its data is opened.

    Attributes:
        request: the present request.
        folder: of the run.
        record: of the run as it was at the iteration it goes on from, with the options of the request.
        state: see `RunFolder.load_state`; None where the run is new.
    """

    request: TrainRequest
    folder: RunFolder
    record: RunRecord
    state: dict[str, Any] | None

    @classmethod
    def find(cls, request: TrainRequest, folder: RunFolder) -> RunStart:
        """Read the run's folder. Raises CheckpointError, UsageError where the request does not go on from there."""
        options, here = request.arguments, str(Path.cwd())
        if not request.resume:
            return cls(request, folder, RunRecord(options, here), None)
        asked = (request.config, request.settings, request.data_as_read)
        try:
            record = RunRecord.read(request.output)
        except CheckpointError as error:
            state = folder.load_state(*asked)
            logger.warning("%s; it begins anew, so the best mask AP of earlier validations is not known", error)
            return cls(request, folder, RunRecord(options, here), state)
        state = folder.load_state(*asked, Path(record.directory))
        return cls(request, folder, replace(record.until(state["iteration"]), arguments=options, directory=here), state)

    @property
    def iteration(self) -> int:
        """Gradient steps that were taken."""
        return 0 if self.state is None else int(self.state["iteration"])

    @property
    def is_validation_due(self) -> bool:
        """Whether the run was ended between a checkpoint and the end of its validation."""
        is_checkpoint = self.iteration % self.request.save_every == 0 or self._has_all_iterations
        is_done = any(one.iteration == self.iteration for one in self.record.validations)
        return self.request.validation is not None and self.iteration > 0 and is_checkpoint and not is_done

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        patience = self.request.patience
        is_given_up = patience is not None and self.record.without_progress >= patience
        return (self._has_all_iterations or is_given_up) and not self.is_validation_due

    @property
    def _has_all_iterations(self) -> bool:
        return self.iteration == self.request.settings.iterations
