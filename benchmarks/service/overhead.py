"""The overhead of the C API over the Python runtime in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median

from tqdm import trange

from benchmarks.networks import DEMO

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
"""The Python program that does what `c_timer.c` does."""


DEMO_SIZE = 320
"""Side of the demonstration model's input that it was trained with."""


def export_engine(folder: Path, size: int) -> Path:
    """The ONNX file of the demonstration model for inputs of this size."""
    path = folder / f"demo{size}.onnx"
    command = [sys.executable, "-m", "yolact.cli.export", "--weights", str(DEMO), "--imgsz", str(size)]
    subprocess.run([*command, "--output", str(path)], check=True, capture_output=True)
    return path


def build_timer(folder: Path, library: Path) -> Path:
    """The C program that times yolact_infer."""
    program = folder / "c_timer"
    links = [f"-L{library}", "-lyolact", f"-Wl,-rpath,{library}"]
    source = Path(__file__).with_name("c_timer.c")
    subprocess.run(["cc", "-std=c99", "-O2", f"-I{library}", str(source), "-o", str(program), *links], check=True)
    return program


def measure_overhead(timer: Path, engine: Path, photo: Path, runs: int) -> dict[str, float]:
    """Medians of milliseconds in C and in Python, run by turns, and of the differences of neighbouring runs."""
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
