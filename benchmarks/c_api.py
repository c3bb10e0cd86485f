"""What the C API costs over the Python runtime it embeds, and the C service under load.

Overhead: yolact_infer in a C program and the same work by Detector in a Python process, masks packed to bits, take
turns of ten on one photo; the demonstration model, and at 64 x 64 as an engine that takes next to no time.
Service: closed loops of clients in another process, with batches across requests and without, then many requests of
the small engine while memory is watched.

    python benchmarks/c_api.py [--runs 60] [--requests 400] [--many 10000] [--json benchmarks/results/c_api.json]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
from figures import describe_machine, write_figures
from service_load import build_service, put_load, running
from tqdm import trange

from yolact.runtime.capi.build import build
from yolact.runtime.images.check_image import make_check_image

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"demo model": 256, "demo model at 64x64": 64}
CONNECTIONS = (1, 4, 16)
WARM_UPS = 2

PYTHON_TIMER = """
import sys, time
import numpy as np
from yolact.runtime.detector import Detector
from yolact.runtime.images.image_files import read_image
detector, image = Detector.open(sys.argv[1]), read_image(sys.argv[2])
for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(10):
        masks = [np.packbits(mask, axis=1) for _, mask in detector(image).select(0.15).iter_masks()]
    print((time.perf_counter() - start) * 1e3 / 10, len(masks), flush=True)
"""


def export_engine(folder: Path, size: int) -> Path:
    """The demonstration model for inputs of this size."""
    path = folder / f"demo{size}.onnx"
    command = ["--weights", str(ROOT / "examples" / "yolact_demo_0_3100.pth"), "--imgsz", str(size)]
    program = "from yolact.cli.export import main; main()"
    subprocess.run([sys.executable, "-c", program, *command, "--output", str(path)], check=True, capture_output=True)
    return path


def build_timer(folder: Path, library: Path) -> Path:
    """The C program that times yolact_infer."""
    program = folder / "c_timer"
    links = [f"-L{library}", "-lyolact", f"-Wl,-rpath,{library}"]
    source = ROOT / "benchmarks" / "c_timer.c"
    subprocess.run(["cc", "-std=c99", "-O2", f"-I{library}", str(source), "-o", str(program), *links], check=True)
    return program


def overhead(timer: Path, engine: Path, photo: Path, runs: int) -> dict[str, float]:
    """Median milliseconds in C and in Python, run by turns, and of the differences of neighbours."""
    commands = [[str(timer)], [sys.executable, "-c", PYTHON_TIMER]]
    workers = [
        subprocess.Popen(
            [*command, str(engine), str(photo)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        for command in commands
    ]
    samples: list[list[float]] = [[], []]
    counts = set()
    for run in trange(WARM_UPS + runs, desc=engine.stem, disable=None):
        for worker, times in zip(workers, samples, strict=True):
            assert worker.stdin is not None and worker.stdout is not None
            worker.stdin.write("\n")
            milliseconds, count = worker.stdout.readline().split()
            counts.add(int(count))
            if run >= WARM_UPS:
                times.append(float(milliseconds))
    for worker in workers:
        worker.communicate()
    assert len(counts) == 1, "C and Python find different numbers of instances"
    in_c, in_python = map(median, samples)
    difference = median(c - python for c, python in zip(*samples, strict=True))
    return {"c_ms": in_c, "python_ms": in_python, "difference_ms": difference, "detections": counts.pop()}


def service_rows(program: Path, engine: Path, body: bytes, requests: int) -> list[dict[str, float]]:
    """Load by connections and largest batch."""
    rows = []
    for max_batch in (1, 8):
        for connections in CONNECTIONS:
            with running(program, engine, "--max-batch", str(max_batch)) as (port, pid):
                put_load(port, pid, body, connections, 2 * connections)
                load = put_load(port, pid, body, connections, requests)
            rows.append({"max_batch": max_batch, "connections": connections, **load.summary()})
    return rows


def memory_row(program: Path, engine: Path, body: bytes, requests: int) -> dict[str, Any]:
    """Resident memory over many requests."""
    with running(program, engine) as (port, pid):
        warm_up = put_load(port, pid, body, 16, max(16, requests // 10))
        load = put_load(port, pid, body, 16, requests)
    return {
        "requests": requests,
        "after_a_tenth_mb": warm_up.memory_mb[-1],
        "largest_in_first_half_mb": max(load.memory_mb[: len(load.memory_mb) // 2 + 1]),
        "largest_in_second_half_mb": max(load.memory_mb[len(load.memory_mb) // 2 :]),
        **load.summary(),
    }


def measure(folder: Path, runs: int, requests: int, many: int) -> dict[str, Any]:
    """All figures."""
    library = folder / "lib"
    build(library)
    photo = folder / "photo.jpg"
    cv2.imwrite(str(photo), make_check_image())
    engines = {name: export_engine(folder, size) for name, size in SIZES.items()}
    timer = build_timer(folder, library)
    rows = {name: overhead(timer, engine, photo, runs) for name, engine in engines.items()}
    program = build_service(folder / "service", library)
    demo, small = engines.values()
    body = photo.read_bytes()
    service = service_rows(program, demo, body, requests)
    return {"overhead": rows, "service": service, "memory": memory_row(program, small, body, many)}


def report(figures: dict[str, Any]) -> None:
    """Tables on stdout."""
    for name, row in figures["overhead"].items():
        print(
            f"{name}, {row['detections']} detections: C {row['c_ms']:.3f} ms, Python {row['python_ms']:.3f} ms, "
            f"median difference {row['difference_ms'] * 1e3:+.0f} us ({row['difference_ms'] / row['python_ms']:+.1%})"
        )
    print("max batch  connections  requests/s   p50 ms   p99 ms  lost")
    for row in figures["service"]:
        print(
            f"{row['max_batch']:9d}  {row['connections']:11d}  {row['per_second']:10.1f}  {row['p50_ms']:7.1f}  "
            f"{row['p99_ms']:7.1f}  {row['lost']:4d}"
        )
    memory = figures["memory"]
    print(
        f"{memory['requests']} requests of the small engine, 16 connections: {memory['per_second']:.0f} requests/s, "
        f"{memory['lost']} lost; resident {memory['after_a_tenth_mb']:.1f} MB before, at most "
        f"{memory['largest_in_first_half_mb']:.1f} MB in the first half, "
        f"{memory['largest_in_second_half_mb']:.1f} MB in the second"
    )


@click.command()
@click.option(
    "--runs", type=click.IntRange(1), default=60, show_default=True, help="Turns of each side, for the overhead."
)
@click.option("--requests", type=click.IntRange(16), default=400, show_default=True, help="Of each load.")
@click.option("--many", type=click.IntRange(16), default=10000, show_default=True, help="While memory is watched.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here.")
def main(runs: int, requests: int, many: int, json_path: Path | None) -> None:
    """Measure the C API beside the Python runtime, and the C service under load."""
    with tempfile.TemporaryDirectory() as name:
        figures = {"machine": describe_machine(2), **measure(Path(name), runs, requests, many)}
    print("\n".join(f"{key}: {value}" for key, value in figures["machine"].items()))
    report(figures)
    if json_path is not None:
        write_figures(json_path, figures)


if __name__ == "__main__":
    main()
