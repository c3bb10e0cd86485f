"""The share of the engine's throughput that a video reaches, with decoding, drawing and encoding.

python -m benchmarks.cpu video --engine FILE ... [--runs 3] [--duration 30] [--json benchmarks/results/video.json]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from yolact.cli.command import reports_errors
from yolact.runtime.bench.measure import BenchRequest
from yolact.runtime.bench.video import MADE_UP, run_video_benchmark, video_lines


@click.command()
@click.option("--engine", "engines", required=True, multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--source", default=MADE_UP, show_default=True, help="A video file, or video for a made-up one.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each engine, in turn.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Seconds.")
@json_option
@reports_errors
def main(engines: tuple[Path, ...], source: str, runs: int, duration: float, json_path: Path | None) -> None:
    """Compare yolact-infer on a video with the engine alone; of several runs, the run with the median share is kept."""
    results: dict[str, list[dict[str, Any]]] = {engine.stem: [] for engine in engines}
    for _ in range(runs):
        for engine in engines:
            results[engine.stem].append(run_video_benchmark(BenchRequest(engine, duration_s=duration), source))
    shares = ("share_of_engine", "share_of_engine_at_once")
    kept = ("frames_per_s", "engine_images_per_s", "engine_at_once_images_per_s", "streams", "stages", *shares)
    rows = {}
    for name, some in results.items():
        middle = median_low_share(some)
        click.echo("\n".join(video_lines(middle)))
        rows[name] = {key: middle[key] for key in kept} | {
            f"{key}_of_runs": [one[key] for one in some] for key in shares
        }
    figures = {"machine": describe_machine(os.cpu_count() or 1, "av"), "runs": runs, "source": source, "engines": rows}
    write_figures(json_path, figures)


def median_low_share(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The run with the median share; of two middle runs, the one with the lower share."""
    ordered = sorted(results, key=lambda one: float(one["share_of_engine"]))
    return ordered[(len(ordered) - 1) // 2]


if __name__ == "__main__":
    main()
