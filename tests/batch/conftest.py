"""Jobs whose workers are in this process: what Ray adds is tested in test_ray.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from batch_jobs import Run, no_cluster, run_here

from yolact.batch import job
from yolact.batch.cluster import Share
from yolact.batch.request import BatchRequest


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "running", no_cluster)
    monkeypatch.setattr(job, "share_out", lambda workers, on_gpu: Share(1, 1, 0))
    monkeypatch.setattr(job, "run_parts", run_here)


@pytest.fixture
def run(in_process: None, engine: Path, tmp_path: Path) -> Run:
    """Runs a job of parts of 4 images on the pictures in `photos`, or on another request; its lines are in `notes`."""

    def run_job(notes: list[str] | None = None, **other: object) -> job.BatchResult:
        usual = BatchRequest(engine, str(tmp_path / "photos"), str(tmp_path / "out"), images_per_part=4)
        return job.run_batch(replace(usual, **other), [].append if notes is None else notes.append)  # type: ignore[arg-type]

    return run_job
