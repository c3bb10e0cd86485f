"""The command that compares the runtimes for one network on this CPU: speed, memory, and agreement of the detections.

YOLACT-ResNet50 at 550 with made-up weights (100 detections, the worst case) up to its heads, and from an image to masks
of its size. All contenders have the same weights, photos and threads. Each is a process of its own. They run in turn,
so a machine that slows down does so for all. A contender in float32 is timed only after its detections have been
compared with those of ONNX Runtime. All are judged by average precision as well, with the trained models of this
project on pictures that these have not seen. A contender that cannot run is in the results with the reason.

    python -m benchmarks.cpu runtimes [--only NAMES] [--nuclei FOLDER] [--json benchmarks/results/cpu_runtimes.json]

OpenVINO comes with the extra `openvino`; ncnn is installed separately: pip install --no-deps ncnn portalocker pnnx
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from benchmarks.commands import json_option
from benchmarks.cpu.runtimes import tables
from benchmarks.cpu.runtimes.contenders import CONTENDERS
from benchmarks.cpu.runtimes.measuring import measure
from benchmarks.figures import write_figures
from benchmarks.machine import describe_machine
from yolact.cli.command import reports_errors
from yolact.runtime.bench.machine import load_average

BUSY = 0.5
"""Load average above which other programs decide the figures rather than the contenders."""


def parse_names(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str]:
    """The names of the requested contenders, in the order of the tables."""
    asked = list(CONTENDERS) if value is None else value.split(",")
    if unknown := [name for name in asked if name not in CONTENDERS]:
        raise click.BadParameter(f"expected some of {', '.join(CONTENDERS)}, got {', '.join(unknown)}")
    return [name for name in CONTENDERS if name in asked]


@click.command()
@click.option("--runs", type=click.IntRange(1), default=12, show_default=True, help="Timed runs of each.")
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count, help="[default: all cores]")
@click.option("--only", "names", callback=parse_names, help=f"Some of {','.join(CONTENDERS)}.  [default: all]")
@click.option("--bins", type=click.IntRange(1), default=200, show_default=True, help="Bins for average precision.")
@click.option(
    "--nuclei",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the photographs: train.json, val.json and images.  [default: only bins]",
)
@json_option
@reports_errors
def main(runs: int, threads: int, names: list[str], bins: int, nuclei: Path | None, json_path: Path | None) -> None:
    """Compare the runtimes for the networks on this CPU."""
    load = load_average()
    if load is not None and load > BUSY:
        click.echo(f"warning: the load is {load:.1f}; others at work slow down PyTorch more than the rest", err=True)
    machine = describe_machine(threads, "openvino", "ncnn", "pnnx") | {"load before": f"{load}"}
    figures = {"machine": machine, **measure(names, runs, threads, bins, nuclei)}
    print(tables.everything(figures))
    write_figures(json_path, figures)
