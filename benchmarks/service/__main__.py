"""The overhead of the C API over the Python runtime in it, and the C service under load.

Overhead: yolact_infer in a C program and the same work by Detector in a Python process, masks packed to bits, take
turns of ten on one picture of a bin; the demonstration model, and at 64 x 64 as an engine that takes next to no time.
Service: closed loops of clients in another process, with batches across requests and without, on one process with two
threads and on two with one each, then many requests of the small engine while memory is watched.

    python -m benchmarks.service [--runs 60] [--requests 400] [--many 10000] [--json benchmarks/results/service.json]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.commands import json_option
from benchmarks.figures import write_figures
from benchmarks.images import BIN
from benchmarks.machine import describe_machine
from benchmarks.service import tables
from benchmarks.service.load import build_service, measure_loads, measure_memory, measure_processes
from benchmarks.service.overhead import DEMO_SIZE, build_timer, export_engine, measure_overhead
from yolact.cli.command import reports_errors
from yolact.runtime.capi.build import build

SIZES = {"demo model": DEMO_SIZE, "demo model at 64x64": 64}


def measure(folder: Path, runs: int, requests: int, many: int) -> dict[str, Any]:
    """All figures of overhead, load and memory."""
    library = folder / "lib"
    build(library)
    engines = {name: export_engine(folder, size) for name, size in SIZES.items()}
    timer = build_timer(folder, library)
    overhead = {name: measure_overhead(timer, engine, BIN, runs) for name, engine in engines.items()}
    program = build_service(folder / "service", library)
    demo, small = engines.values()
    body = BIN.read_bytes()
    loads = measure_loads(program, demo, body, requests)
    processes = measure_processes(program, demo, body, requests)
    return {
        "overhead": overhead,
        "service": loads,
        "processes": processes,
        "memory": measure_memory(program, small, body, many),
    }


@click.command()
@click.option(
    "--runs", type=click.IntRange(1), default=60, show_default=True, help="Turns of each side, for the overhead."
)
@click.option("--requests", type=click.IntRange(16), default=400, show_default=True, help="Requests of each load.")
@click.option("--many", type=click.IntRange(16), default=10000, show_default=True, help="Requests of the memory test.")
@json_option
@reports_errors
def main(runs: int, requests: int, many: int, json_path: Path | None) -> None:
    """Measure the C API beside the Python runtime, and the C service under load."""
    with tempfile.TemporaryDirectory() as name:
        figures = {"machine": describe_machine(2), **measure(Path(name), runs, requests, many)}
    print("\n\n".join(table(figures) for table in (tables.overhead, tables.load, tables.processes, tables.memory)))
    write_figures(json_path, figures)


if __name__ == "__main__":
    main()
