"""YOLACT-ResNet50 at 550 on this CPU, image array to full-size masks: our ONNX Runtime path beside eager PyTorch.

Both run in turn on the same image and weights (random but lively: 100 detections, the worst case).
Prints a table and, with --json, writes the figures to a file.

    python benchmarks/cpu.py [--runs 25] [--threads N] [--json benchmarks/results/cpu.json]
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import click
import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from eager import EagerDetector
from tqdm import trange

from yolact.export.exporter import export_model
from yolact.runtime.check_image import make_check_image
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.onnx_engine import OnnxEngine
from yolact.runtime.preprocess import Image, Preprocessor
from yolact.training.configs import get_config
from yolact.training.model import Yolact
from yolact.training.seeded_weights import seeded_state_dict

T = TypeVar("T")

CPU = ("CPUExecutionProvider",)
WARM_UPS = 3
PHOTO_SIZE = (3000, 4000)

MEMORY_PROGRAM = """
import sys
from pathlib import Path
from yolact.runtime.detector import Detector
from yolact.runtime.image_files import read_image
with Detector.open(sys.argv[1]) as detector:
    found = detector(read_image(sys.argv[2]))
    found.rle()
# Not getrusage: its peak is inherited from the process that started this one.
status = Path("/proc/self/status").read_text()
print(len(found), int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


class TimedEngine(OnnxEngine):
    """Remembers how long the last run of the session took."""

    seconds = 0.0

    def run(self, images: Image) -> list[Any]:
        """As the engine's, with a clock."""
        start = time.perf_counter()
        outputs = super().run(images)
        self.seconds = time.perf_counter() - start
        return outputs


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Result and milliseconds of one call."""
    start = time.perf_counter()
    result = function()
    return result, (time.perf_counter() - start) * 1e3


def serve_eager(pipe: Connection, threads: int) -> None:
    """Worker: answer each request with the milliseconds of one eager run."""
    torch.set_num_threads(threads)
    detector, image = EagerDetector(seeded_model(), PostprocessConfig()), make_check_image()
    assert len(detector(image)[1]) == 100
    while pipe.recv():
        pipe.send({"eager": timed(lambda: detector(image))[1]})


def serve_ours(pipe: Connection, threads: int, path: Path) -> None:
    """Worker: answer each request with the milliseconds of one run of our path and of its parts."""
    engine = TimedEngine(path, threads)
    detector, image = Detector(engine), make_check_image()
    assert len(detector(image)) == 100
    while pipe.recv():
        found, whole = timed(lambda: detector(image))
        _, masks = timed(partial(getattr, found, "masks"))
        session = engine.seconds * 1e3
        pipe.send({"ours": whole + masks, "session": session, "around": whole - session, "masks": masks})


def measure(path: Path, runs: int, threads: int) -> dict[str, float]:
    """Medians in ms of both paths, run in turn. Each has a process of its own, so that neither's threads wait in the
    other's way."""
    context = get_context("spawn")
    pipes = []
    for target, arguments in ((serve_eager, (threads,)), (serve_ours, (threads, path))):
        ours, theirs = context.Pipe()
        context.Process(target=target, args=(theirs, *arguments), daemon=True).start()
        pipes.append(ours)
    samples: dict[str, list[float]] = {}
    for run in trange(WARM_UPS + runs, desc="end to end", disable=None):
        for pipe in pipes:
            pipe.send(True)
            for name, value in pipe.recv().items():
                if run >= WARM_UPS:
                    samples.setdefault(name, []).append(value)
    for pipe in pipes:
        pipe.send(False)
    return {name: median(values) for name, values in samples.items()}


def seeded_model() -> Yolact:
    """The network under test."""
    config = get_config("yolact_resnet50")
    model = Yolact(config)
    model.load_state_dict(seeded_state_dict(config))
    return model.eval()


def in_graph_postprocessing(path: Path, threads: int, runs: int, folder: Path) -> float:
    """Milliseconds a run that ONNX Runtime's profiler counts inside the two functions."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(str(path), options, providers=list(CPU))
    pixels = Preprocessor(session.get_inputs()[0].shape[1])([make_check_image()])
    for _ in range(WARM_UPS + runs):
        session.run(None, {"images": pixels})
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels: dict[str, list[float]] = {}
    for event in events:
        if event["name"].endswith("_kernel_time") and "Yolact" in event["name"]:
            kernels.setdefault(event["name"], []).append(event["dur"] / 1e3)
    return sum(median(durations[WARM_UPS:]) for durations in kernels.values())


def peak_memory(path: Path, folder: Path) -> float:
    """Peak resident MB of a process that finds 100 instances in a 4000x3000 photo and encodes their masks."""
    photo = folder / "photo.jpg"
    cv2.imwrite(str(photo), make_check_image(*PHOTO_SIZE))
    output = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(path), str(photo)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert output[0] == "100", output
    return float(output[1])


def describe_machine(threads: int) -> dict[str, str]:
    """Hardware and versions, to be read with the figures."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    versions = {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__, "opencv": cv2.__version__}
    return {
        "cpu": f"{names[0]}, {os.cpu_count()} cores, {threads} threads used",
        "python": platform.python_version(),
        "numpy": np.__version__,
        **versions,
    }


@click.command()
@click.option("--runs", type=click.IntRange(1), default=25, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count, help="[default: all cores]")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here.")
def main(runs: int, threads: int, json_path: Path | None) -> None:
    """Compare our ONNX Runtime path with eager PyTorch on this CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "yolact.onnx"
        onnx.save(export_model(seeded_model(), PostprocessConfig(), weights_sha256=""), path)
        ms = measure(path, runs, threads)
        ms["in_graph_postprocessing"] = in_graph_postprocessing(path, threads, runs, folder)
        memory = peak_memory(path, folder)
    machine = describe_machine(threads)
    print("\n".join(f"{key}: {value}" for key, value in machine.items()))
    print(f"YOLACT-ResNet50, 550x550, 480x640 image, 100 detections; medians of {runs} runs in turn")
    print(f"eager PyTorch, image to full-size masks    {ms['eager']:8.1f} ms")
    print(f"ours, image to full-size masks             {ms['ours']:8.1f} ms  ({ms['eager'] / ms['ours']:.2f}x)")
    print(f"  ONNX Runtime session                     {ms['session']:8.1f} ms")
    print(f"    post-processing in the graph           {ms['in_graph_postprocessing']:8.1f} ms")
    print(f"  around the session                       {ms['around']:8.1f} ms  ({ms['around'] / ms['session']:.1%})")
    print(f"  100 masks at image size                  {ms['masks']:8.1f} ms  ({ms['masks'] / ms['session']:.1%})")
    print(f"peak memory, 4000x3000 photo, 100 RLE masks {memory:7.0f} MB")
    if json_path is not None:
        figures = {"machine": machine, "runs": runs, "milliseconds": ms, "peak_memory_mb": memory}
        json_path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
