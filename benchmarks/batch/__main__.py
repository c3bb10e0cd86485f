"""The cost of a batch job on Ray beside the network alone and beside workers without Ray, and over ten thousand images.

Two workers with a thread each, on synthetic scenes; the demonstration model, at 64 x 64 as an engine that takes next to
no time, and other files, such as a network of official size, on fewer images. The plan for a million images is really
made; the figures of their job are computed from those of the long job.

    python -m benchmarks.batch [--engine FILE ...] [--images 1000] [--many 10000] [--runs 3] [--json FILE]
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.batch import tables
from benchmarks.batch.measure import WORKERS, compare, job, plan, worker_rate
from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.service.overhead import DEMO_SIZE, export_engine
from yolact.cli.command import reports_errors
from yolact.training.scenes.files import IMAGE_FOLDER, SceneRequest, write_scenes

SIZES = {"demo model": DEMO_SIZE, "demo model at 64x64": 64}

FEWER = 4
"""How many times fewer images another file than the demonstration model gets."""


def draw(folder: Path, count: int) -> Path:
    """So many scenes of flat shapes."""
    write_scenes(SceneRequest(folder, count, 0, "shapes", (288, 384), 0, WORKERS))
    return folder / IMAGE_FOLDER


def measure(folder: Path, others: Sequence[Path], images: int, many: int, runs: int) -> dict[str, Any]:
    """All figures."""
    engines = {name: export_engine(folder, size) for name, size in SIZES.items()}
    scenes = draw(folder / "scenes", images)
    share = {name: compare(engine, scenes, folder, images, runs) for name, engine in engines.items()}
    few = draw(folder / "few", images // FEWER)
    for other in others:
        share[other.stem] = compare(other, few, folder, len(list(few.iterdir())), runs)
    small = engines["demo model at 64x64"]
    lots = draw(folder / "lots", many)
    alone = worker_rate(small, lots, folder / "alone", many)
    long = {"images": many, **job(small, lots, folder / "long", many)}
    long["ms_beyond"] = 1000 * WORKERS * (1 / long["per_second"] - 1 / alone)
    return {"workers": WORKERS, "share": share, "long": long, "plan": plan(folder / "plan", tables.MILLION)}


@click.command()
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"Another file to measure, on one image in {FEWER}.  [default: the demonstration model alone]",
)
@click.option("--images", type=click.IntRange(1000), default=1000, show_default=True, help="Images of the comparison.")
@click.option("--many", type=click.IntRange(256), default=10_000, show_default=True, help="Images of the long job.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Turns of each side.")
@json_option
@reports_errors
def main(engines: tuple[Path, ...], images: int, many: int, runs: int, json_path: Path | None) -> None:
    """Measure batch jobs beside their parts."""
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name), engines, images, many, runs)
    figures = {"machine": describe_machine(WORKERS, "ray", "pyarrow"), **measured}
    print("\n\n".join(table(figures) for table in (tables.share, tables.memory, tables.million)))
    write_figures(json_path, figures)


if __name__ == "__main__":
    main()
