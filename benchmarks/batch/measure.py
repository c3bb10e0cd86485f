"""Runs the sides of the comparison and jobs of yolact-batch, and watches the memory of the latter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from yolact.batch.attempts import forget_attempts
from yolact.batch.listing import list_images
from yolact.batch.part_files import FOLDER
from yolact.batch.places import open_place
from yolact.batch.plan import write_plan
from yolact.runtime.errors import YolactError

WORKERS = 2
_SAMPLE_SECONDS = 0.5


def side(*arguments: object) -> subprocess.Popen[str]:
    """Start one of `benchmarks.batch.sides`."""
    command = [sys.executable, "-m", "benchmarks.batch.sides", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def result_of(process: subprocess.Popen[str]) -> list[float]:
    """The numbers that a side printed. Raises YolactError if it failed."""
    text = process.communicate()[0]
    if process.returncode != 0:
        raise YolactError(f"{process.args} ended with {process.returncode}")
    return [float(word) for word in text.split()]


def network_rate(engine: Path, images: int) -> float:
    """Images a second of the network alone, in as many processes as there are workers."""
    running = [side("network", engine, images // WORKERS) for _ in range(WORKERS)]
    return sum(images // WORKERS / result_of(one)[0] for one in running)


def worker_rate(engine: Path, photos: Path, folder: Path, images: int) -> float:
    """Images a second of workers without Ray, each of which does its share of the parts."""
    place = open_place(str(folder))
    (place / FOLDER).make_folder()
    forget_attempts(place)
    write_plan(place, list_images(str(photos)).entries)
    running = [side("worker", engine, folder, first, WORKERS) for first in range(WORKERS)]
    seconds = max(result_of(one)[0] for one in running)
    shutil.rmtree(folder)
    return images / seconds


def job(engine: Path, photos: Path, folder: Path, images: int) -> dict[str, Any]:
    """A job of yolact-batch: seconds in all, images a second from the moment on when each worker has done a part, and
    memory in MB."""
    command = [sys.executable, "-m", "yolact.cli.batch", "--engine", engine, "--input", photos, "--output", folder]
    start, samples = time.time(), list[tuple[float, float]]()
    process = subprocess.Popen([*map(str, command), "--workers", str(WORKERS)], stderr=subprocess.DEVNULL)
    while process.poll() is None:
        samples.append((time.time(), _resident_mb(process.pid)))
        time.sleep(_SAMPLE_SECONDS)
    if process.returncode != 0:
        raise YolactError(f"yolact-batch ended with {process.returncode}")
    seconds = time.time() - start
    parts = sorted((path.stat().st_mtime, path.stat().st_size) for path in (folder / FOLDER).iterdir())
    first, warm, last = parts[0][0], parts[WORKERS - 1][0], parts[-1][0]
    sizes = [size for at, size in samples if first <= at <= last] or [0.0]
    half = len(sizes) // 2 or 1
    figures = {
        "seconds": seconds,
        "before_first_part": first - start,
        "per_second": images * (1 - WORKERS / len(parts)) / (last - warm),
        "bytes": sum(size for _, size in parts),
        "first_mb": sizes[0],
        "largest_in_first_half_mb": max(sizes[:half]),
        "largest_in_second_half_mb": max(sizes[half:] or sizes),
    }
    shutil.rmtree(folder)
    return figures


def compare(engine: Path, photos: Path, folder: Path, images: int, runs: int) -> dict[str, Any]:
    """Medians of the sides, which take turns."""
    rounds = [
        (
            network_rate(engine, images),
            worker_rate(engine, photos, folder / "worker", images),
            job(engine, photos, folder / "job", images),
        )
        for _ in range(runs)
    ]
    return {
        "images": images,
        "network_per_second": median(network for network, _, _ in rounds),
        "worker_per_second": median(worker for _, worker, _ in rounds),
        "job_per_second": median(one["per_second"] for _, _, one in rounds),
        "before_first_part": median(one["before_first_part"] for _, _, one in rounds),
        "of_network": median(one["per_second"] / network for network, _, one in rounds),
        "of_worker": median(one["per_second"] / worker for _, worker, one in rounds),
    }


def plan(folder: Path, images: int) -> dict[str, Any]:
    """The time, memory and size of the plan for so many images."""
    folder.mkdir()
    seconds, size, peak, parts = result_of(side("plan", folder, images))
    return {"images": images, "seconds": seconds, "bytes": size, "peak_mb": peak, "parts": parts}


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
