"""The share of the engine's throughput that yolact-infer reaches on a folder, with decoding, drawing, writing and JSON.

The command and bare runs of ONNX Runtime on the same number of images take turns, each in a process of its own.

    python -m benchmarks.cpu folder --engine FILE ... [--count 20] [--runs 3] [--json benchmarks/results/folder.json]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
from tqdm import trange

from benchmarks.commands import json_option
from benchmarks.cpu import tables
from benchmarks.figures import write_figures
from benchmarks.images import write_photos
from benchmarks.machine import describe_machine
from yolact.cli.command import reports_errors

BARE = """
import sys, time
import numpy as np
from yolact.runtime.onnx.engine import OnnxEngine
engine = OnnxEngine(__import__("pathlib").Path(sys.argv[1]))
side = engine.metadata.config.image_size
images = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
for _ in range(int(sys.argv[2])):
    engine.run(images)
    print("done", flush=True)
"""


def seconds_between_lines(command: list[str], lines: int) -> float:
    """The seconds from the first line that a command prints to its last, so that its start is not counted."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        times = [time.perf_counter() for _ in process.stdout]
    if process.returncode != 0 or len(times) != lines:
        raise RuntimeError(f"{command[:3]} printed {len(times)} lines and ended with {process.returncode}")
    return times[-1] - times[0]


def measure(engine: Path, photos: Path, count: int, runs: int, output: Path) -> dict[str, float]:
    """Medians over the runs of the images a second of both, and of the share that the command reaches."""
    infer = [sys.executable, "-m", "yolact.cli.infer", "--engine", str(engine), str(photos)]
    infer += ["--output", str(output), "--json", str(output / "found.json")]
    bare = [sys.executable, "-c", BARE, str(engine), str(count)]
    seconds = [
        [seconds_between_lines(command, count) for command in (bare, infer)]
        for _ in trange(runs, desc=engine.stem, disable=None)
    ]
    rates = [median((count - 1) / pair[side] for pair in seconds) for side in (0, 1)]
    share = median(alone / command for alone, command in seconds)
    return {"engine_per_second": rates[0], "infer_per_second": rates[1], "share": share}


@click.command()
@click.option("--engine", "engines", required=True, multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--count", type=click.IntRange(2), default=20, show_default=True, help="Photos.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each.")
@json_option
@reports_errors
def main(engines: tuple[Path, ...], count: int, runs: int, json_path: Path | None) -> None:
    """Compare yolact-infer on a folder with the engine alone."""
    figures: dict[str, Any] = {"machine": describe_machine(os.cpu_count() or 1), "images": count, "runs": runs}
    with tempfile.TemporaryDirectory() as name:
        photos = write_photos(Path(name) / "photos", count, ".jpg")
        rows = {
            engine.stem: measure(engine, photos, count, runs, Path(name) / f"out-{engine.stem}") for engine in engines
        }
    figures["engines"] = rows
    print(tables.folder(figures))
    write_figures(json_path, figures)
