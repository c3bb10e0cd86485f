"""The cost of a batch job on Ray beside the network alone and beside workers without Ray, and over ten thousand images.

Two workers with a thread each, on synthetic scenes; the demonstration model, and at 64 x 64 as an engine that takes
next to no time. The plan for a million images is really made; the figures of their job are computed from those of the
long job.

    python -m benchmarks.batch [--images 1000] [--many 10000] [--runs 3] [--json benchmarks/results/batch.json]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.batch import tables
from benchmarks.batch.measure import WORKERS, compare, job, plan, worker_rate
from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from benchmarks.service.overhead import export_engine
from yolact.cli.command import reports_errors
from yolact.training.scenes.files import IMAGE_FOLDER, SceneRequest, write_scenes

SIZES = {"demo model": 320, "demo model at 64x64": 64}


def draw(folder: Path, count: int) -> Path:
    """So many scenes of flat shapes."""
    write_scenes(SceneRequest(folder, count, 0, "shapes", (288, 384), 0, WORKERS))
    return folder / IMAGE_FOLDER


def measure(folder: Path, images: int, many: int, runs: int) -> dict[str, Any]:
    """All figures."""
    engines = {name: export_engine(folder, size) for name, size in SIZES.items()}
    scenes = draw(folder / "scenes", images)
    share = {name: compare(engine, scenes, folder, images, runs) for name, engine in engines.items()}
    small = engines["demo model at 64x64"]
    lots = draw(folder / "lots", many)
    alone = worker_rate(small, lots, folder / "alone", many)
    long = {"images": many, **job(small, lots, folder / "long", many)}
    long["ms_beyond"] = 1000 * WORKERS * (1 / long["per_second"] - 1 / alone)
    return {"workers": WORKERS, "share": share, "long": long, "plan": plan(folder / "plan", tables.MILLION)}


@click.command()
@click.option("--images", type=click.IntRange(128), default=1000, show_default=True, help="Images of the comparison.")
@click.option("--many", type=click.IntRange(256), default=10_000, show_default=True, help="Images of the long job.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Turns of each side.")
@json_option
@reports_errors
def main(images: int, many: int, runs: int, json_path: Path | None) -> None:
    """Measure batch jobs beside their parts."""
    with tempfile.TemporaryDirectory() as name:
        figures = {"machine": describe_machine(WORKERS, "ray", "pyarrow"), **measure(Path(name), images, many, runs)}
    print("\n\n".join(table(figures) for table in (tables.share, tables.memory, tables.million)))
    write_figures(json_path, figures)


if __name__ == "__main__":
    main()
