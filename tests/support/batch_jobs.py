"""Pictures for batch jobs, what is read of their results, and workers that are in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolact.batch.cluster import Share
from yolact.batch.job import BatchResult
from yolact.batch.worker import Outcome, PartWorker, WorkerSettings

Run = Callable[..., BatchResult]


def write_pictures(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Pictures that all differ, none square; every fifth is black, so that nothing is found in it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(first, first + count):
        picture = np.zeros((24 + index % 9, 36 + index // 9, 3), np.uint8)
        if index % 5:
            picture[:] = index % 200 + 20
        paths.append(folder / f"{index:04}.png")
        assert cv2.imwrite(str(paths[-1]), picture)
    return paths


@contextmanager
def no_cluster(address: str | None) -> Iterator[None]:
    yield


def run_here(parts: Sequence[int], settings: WorkerSettings, share: Share) -> Iterator[Outcome]:
    """As `run_parts`, the last part first."""
    worker = PartWorker(settings)
    yield from (worker.do(number) for number in reversed(parts))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """All rows, as any reader of Parquet sees them."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(folder / "detections").to_pylist()
    return rows
