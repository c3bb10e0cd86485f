"""How many pictures of bins are drawn a second, by the number of processes.

python -m benchmarks.training scenes [--count 60] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median

import click

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.training.tables import drawing
from yolact.cli.command import reports_errors
from yolact.training.scenes.files import SceneRequest, write_scenes
from yolact.training.scenes.kinds import KINDS


def pictures_per_second(count: int, workers: int, seed: int) -> float:
    """Of `yolact-scenes --kind bin`, its start and the files included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_scenes(SceneRequest(Path(folder, "bins"), count, seed, kind="bin", workers=workers))
        return count / (time.perf_counter() - start)


@click.command()
@click.option("--count", default=60, show_default=True, type=click.IntRange(1), help="Pictures of a turn.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Turns of each.")
@json_option
@reports_errors
def main(count: int, rounds: int, json_path: Path | None) -> None:
    """Draw bins with one process, and with one for each core, by turns."""
    cores = os.cpu_count() or 1
    rates: dict[int, list[float]] = {workers: [] for workers in sorted({1, cores})}
    for turn in range(rounds):
        for workers, measured in rates.items():
            measured.append(pictures_per_second(count, workers, turn))
    figures = {
        "machine": describe_machine(cores, "mujoco"),
        "size": KINDS["bin"].size,
        "pictures_per_second": {str(workers): median(measured) for workers, measured in rates.items()},
    }
    print(drawing(figures))
    write_figures(json_path, figures)
