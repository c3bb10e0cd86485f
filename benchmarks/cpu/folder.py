"""The share of the engine's throughput that yolact-infer reaches on a folder, with decoding, drawing, writing and JSON.

The command and bare runs of ONNX Runtime on the same images take turns, each in a process of its own. Runs are bare one
by one, and two at once, as the command computes images.

    python -m benchmarks.cpu folder --engine FILE ... [--images DIR] [--runs 3] [--json benchmarks/results/folder.json]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
from tqdm import trange

from benchmarks.commands import json_option
from benchmarks.cpu import tables
from benchmarks.figures import write_figures
from benchmarks.images import write_photos
from benchmarks.machine import describe_machine
from yolact.cli.command import reports_errors

BARE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.engine import OnnxEngine
engine = OnnxEngine(Path(sys.argv[1]), throughput=sys.argv[3] == "at once")
prepare = Preprocessor(engine.metadata.config.image_size)
images = [prepare([read_image(path)]) for path in sorted(Path(sys.argv[2]).iterdir())]
with ThreadPoolExecutor(engine.streams) as pool:
    for _ in pool.map(engine.run, images):
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


def measure(engine: Path, photos: Path, runs: int, output: Path) -> dict[str, float]:
    """Medians over the runs of the images a second, and of the shares of bare runs that the command reaches."""
    count = sum(1 for _ in photos.iterdir())
    infer = [sys.executable, "-m", "yolact.cli.infer", "--engine", str(engine), str(photos)]
    infer += ["--output", str(output), "--json", str(output / "found.json")]
    bare = [[sys.executable, "-c", BARE, str(engine), str(photos), way] for way in ("one by one", "at once")]
    seconds = [
        [seconds_between_lines(command, count) for command in (*bare, infer)]
        for _ in trange(runs, desc=engine.stem, disable=None)
    ]
    rates = [median((count - 1) / each[side] for each in seconds) for side in range(3)]
    shares = [median(each[side] / each[2] for each in seconds) for side in range(2)]
    names = ("engine_per_second", "engine_at_once_per_second", "infer_per_second", "share", "share_at_once")
    return dict(zip(names, (*rates, *shares), strict=True))


@click.command()
@click.option("--engine", "engines", required=True, multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--count", type=click.IntRange(2), default=20, show_default=True, help="Made-up photos.")
@click.option("--images", "folder", type=click.Path(exists=True, path_type=Path), help="A folder of images instead.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each.")
@json_option
@reports_errors
def main(engines: tuple[Path, ...], count: int, folder: Path | None, runs: int, json_path: Path | None) -> None:
    """Compare yolact-infer on a folder with the engine alone."""
    with tempfile.TemporaryDirectory() as name:
        photos = write_photos(Path(name) / "photos", count, ".jpg") if folder is None else folder
        shown = f"{sum(1 for _ in photos.iterdir())} {'made-up photos' if folder is None else 'images of a folder'}"
        rows = {engine.stem: measure(engine, photos, runs, Path(name) / f"out-{engine.stem}") for engine in engines}
    figures = {"machine": describe_machine(os.cpu_count() or 1), "images": shown, "runs": runs, "engines": rows}
    print(tables.folder(figures))
    write_figures(json_path, figures)
