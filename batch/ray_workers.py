"""The parts of a job as a data set of Ray, and workers as its actors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact.batch.cluster import Share
from yolact.batch.part_files import PartSummary
from yolact.batch.worker import Outcome, PartWorker, WorkerSettings
from yolact.runtime.errors import YolactError
from yolact.runtime.json_text import to_json
from yolact.runtime.wording import one_line


class _Actor:
    """A `PartWorker` that takes and gives the columns of a data set."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._worker = PartWorker(settings)

    def __call__(self, rows: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
        outcomes = [self._worker.do(int(number)) for number in rows["part"]]
        summaries = [to_json(asdict(one.summary)) if one.summary is not None else "" for one in outcomes]
        return {
            "number": np.array([one.number for one in outcomes], np.int64),
            "summary": np.array(summaries, np.str_),
            "failure": np.array([one.failure for one in outcomes], np.str_),
            "exit_code": np.array([one.exit_code for one in outcomes], np.int64),
        }


def run_parts(parts: Sequence[int], settings: WorkerSettings, share: Share) -> Iterator[Outcome]:
    """Have workers do parts, in any order; yields the outcome of each part as soon as it is known.

    A part whose worker ended is begun again, elsewhere if need be, as long as `attempt` lets it.

    Raises YolactError where Ray itself fails.
    """
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    # On a CPU a part takes long: one that waited for its worker might have been done by another at the end of a job.
    in_flight = 2 if share.gpus else 1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    DataContext.get_current().enable_progress_bars = False
    # Items come from this process: tasks that read them would wait for cores, which workers keep.
    numbers = ray.data.from_items([{"part": number} for number in parts], override_num_blocks=len(parts))
    done = numbers.map_batches(
        _Actor,
        fn_constructor_args=(settings,),
        batch_size=None,
        compute=ActorPoolStrategy(size=share.workers, max_tasks_in_flight_per_actor=in_flight),
        num_cpus=share.cores,
        num_gpus=share.gpus,
    )
    try:
        for row in done.iter_rows():
            summary = PartSummary.from_json(row["summary"].encode()) if row["summary"] else None
            yield Outcome(int(row["number"]), summary, str(row["failure"]), int(row["exit_code"]))
    except ray.exceptions.RayError as error:
        last = one_line(str(error).strip().rpartition("\n")[2])
        raise YolactError(f"Ray failed ({type(error).__name__}: {last}); start the command again to go on") from error
