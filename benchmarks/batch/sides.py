"""The sides of the comparison, each in a process of its own: the network, a worker without Ray, and a large plan.

python -m benchmarks.batch.sides network ENGINE IMAGES | worker ENGINE OUTPUT FIRST STEP | plan FOLDER IMAGES
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np


def network(engine: str, images: str) -> None:
    """Run the network alone on made-up images, with one thread. Prints the seconds."""
    from yolact.runtime.onnx.engine import OnnxEngine

    opened = OnnxEngine(Path(engine), 1)
    side = opened.metadata.config.image_size
    batch = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    opened.run(batch)
    start = time.perf_counter()
    for _ in range(int(images)):
        opened.run(batch)
    print(time.perf_counter() - start)


def worker(engine: str, output: str, first: str, step: str) -> None:
    """Do every `step`-th part of a plan as an actor would, with one thread. Prints the seconds."""
    from yolact.batch.places import open_place
    from yolact.batch.plan import Plan
    from yolact.batch.worker import PartWorker, WorkerSettings
    from yolact.runtime.engine import EngineOptions
    from yolact.runtime.file_digest import sha256_of

    folder = open_place(output)
    opening = EngineOptions(threads=1)
    doing = PartWorker(WorkerSettings(Path(engine), sha256_of(Path(engine)), folder, folder, open_options=opening))
    start = time.perf_counter()
    for number in range(int(first), len(Plan.open(folder)), int(step)):
        outcome = doing.do(number)
        if outcome.summary is None:
            raise SystemExit(outcome.failure)
    print(time.perf_counter() - start)


def plan(folder: str, images: str) -> None:
    """Plan so many image files that do not exist. Prints seconds, bytes of the plan, peak memory in MB and parts."""
    import pyarrow as pa

    from yolact.batch.listing import entry_schema
    from yolact.batch.places import open_place
    from yolact.batch.plan import FILE, write_plan

    count = int(images)
    numbers = np.arange(count)
    ones, none = np.ones(count, np.int64), pa.nulls(count, pa.int64())
    paths = pa.array([f"bucket/photos/2024/camera-07/{number:012}.jpg" for number in numbers])
    columns = [paths, none, ones, none, ones * 150_000, numbers + 1_700_000_000_000_000_000]
    entries = pa.table(dict(zip(entry_schema().names, columns, strict=True)), schema=entry_schema())
    start = time.perf_counter()
    made = write_plan(open_place(folder), entries)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds, Path(folder, FILE).stat().st_size, peak, len(made))


if __name__ == "__main__":
    {"network": network, "worker": worker, "plan": plan}[sys.argv[1]](*sys.argv[2:])
