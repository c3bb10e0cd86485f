"""Whole detectors side by side: from images in the host's memory to masks at their size, also there.

One run takes a batch of decoded images, (480, 640, 3) uint8 BGR NumPy arrays in ordinary memory, and is over when
boxes, scores, classes and binary masks at 480 x 640 of all detections (up to 100 an image) are in the host's memory:
dense bools for the official way, packed bits inside the masks' regions for our kernels, bools inside those regions
where a CPU enlarges the masks. Runs follow each other without overlap. Stages are timed in runs of their own, which
wait after each stage, so that they add up to a little more than a whole run.

Each contender and network is a step of the check; one by itself is timed by

    python -m benchmarks.gpu.check --only "yolact_resnet50 recorded"

Not yet run on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.figures import write_figures
from benchmarks.gpu.check.skipping import seconds_left
from benchmarks.gpu.detectors.agreement import differences, reference_detections
from benchmarks.gpu.detectors.engines import EngineContender, ImageContender, export, open_onnx, open_plan
from benchmarks.gpu.detectors.pytorch import Contender, Eager, Recorded
from benchmarks.networks import seeded_model
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.kernels import LIBRARY, KernelLibrary
from yolact.runtime.detections import Detections
from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.metadata import Precision
from yolact.training.models.configs import get_config
from yolact.training.models.model import Yolact

BATCHES = (1, 32, 8)
"""In the order of their value, for a machine that may be gone before the last one."""

IMAGE_SIZE = (480, 640)
DISTINCT_IMAGES = 4
WARM_UPS, LEAST_RUNS, MOST_RUNS, SECONDS = 2, 3, 60, 1.0
RTX = "tensorrt_rtx"
TYPES: dict[str, torch.dtype] = {"fp16": torch.float16, "fp32": torch.float32}


@dataclass
class Setting:
    """What all contenders have in common.

    Attributes:
        model: on the CPU, in float32, in evaluation mode.
        images: distinct ones, all of one size; batches repeat them.
        folder: for files that contenders share.
        precision: of the network, where a contender has no other.
        device: `cuda`, or in tests `cpu`.
        kernels: the library of CUDA kernels.
        seconds: for either kind of timing.
        postprocess: as everywhere.
    """

    model: Yolact
    images: Sequence[Image]
    folder: Path
    precision: Precision = "fp16"
    device: str = "cuda"
    kernels: Path = LIBRARY
    seconds: float = SECONDS
    postprocess: PostprocessConfig = field(default_factory=PostprocessConfig)

    def batch(self, size: int, start: int = 0) -> list[Image]:
        """A batch of so many images that starts at one of the distinct ones."""
        return [self.images[(start + i) % len(self.images)] for i in range(size)]

    def export_file(self) -> Path:
        """The ONNX file of the network, exported at the first call."""
        return export(self.model, self.postprocess, self.precision, self.folder)

    def wait(self) -> None:
        """Wait until the GPU is done."""
        if self.device != "cpu":
            torch.cuda.synchronize()


Opening = Callable[[Setting, int, dict[str, Any]], Contender]
"""A function that makes a contender for a batch size, and may add figures to the dict, which is the contender's row."""


def _eager(setting: Setting, batch: int, row: dict[str, Any], precision: Precision | None = None) -> Contender:
    dtype = TYPES[precision or setting.precision]
    return Eager(setting.model, dtype, setting.postprocess, setting.device)


def _recorded(setting: Setting, batch: int, row: dict[str, Any]) -> Contender:
    dtype, library = TYPES[setting.precision], KernelLibrary(setting.kernels)
    images = setting.batch(batch)
    return Recorded(library, setting.model, dtype, setting.postprocess, setting.device, images)


def _onnx(setting: Setting, batch: int, row: dict[str, Any], kind: str) -> Contender:
    return open_onnx(kind, setting.export_file)


def _plan(setting: Setting, batch: int, row: dict[str, Any], module: str, way: Callable[[Any], Contender]) -> Contender:
    return way(open_plan(module, setting.export_file, batch, row))


CONTENDERS: dict[str, tuple[str, Opening]] = {
    "recorded": ("PyTorch channels last in CUDA graphs, our kernels", _recorded),
    "eager": ("eager PyTorch, official steps", _eager),
    "eager-fp32": (
        "eager PyTorch in float32 (convolutions in TF32), official steps",
        partial(_eager, precision="fp32"),
    ),
    "tensorrt": ("TensorRT, all on the GPU", partial(_plan, module="tensorrt", way=ImageContender)),
    "tensorrt-cpu": ("TensorRT, the CPU around it", partial(_plan, module="tensorrt", way=EngineContender)),
    "tensorrt-rtx": ("TensorRT for RTX, all on the GPU", partial(_plan, module=RTX, way=ImageContender)),
    "tensorrt-rtx-cpu": (
        "TensorRT for RTX, the CPU around it",
        partial(_plan, module="tensorrt_rtx", way=EngineContender),
    ),
    "ort-cuda": ("ONNX Runtime, CUDA provider", partial(_onnx, kind="cuda")),
    "ort-tensorrt": ("ONNX Runtime, TensorRT provider", partial(_onnx, kind="tensorrt")),
}
"""All contenders by name: a title for tables, and the function that makes one."""


def measure_contender(result: Path, network: str, contender: str, folder: str) -> None:
    """Check and time one contender in all batches; rows are written as they come.

    The requirements of the contender are met, see `benchmarks.gpu.detectors.step`.

    Raises YolactError if its detections do not agree with the reference.
    """
    torch.backends.cudnn.benchmark = True
    images = [make_check_image(*IMAGE_SIZE, seed) for seed in range(DISTINCT_IMAGES)]
    setting = Setting(seeded_model(get_config(network)), images, Path(folder))
    measure_batches(result, contender, setting, BATCHES)


def measure_batches(result: Path, contender: str, setting: Setting, batches: Sequence[int]) -> None:
    """Check and time one contender in all batches, in any setting. Raises as `measure_contender`.

    If less time is left than the slowest batch so far took, a batch is left out, and the step has failed.
    """
    title, make = CONTENDERS[contender]
    rows: list[dict[str, Any]] = []
    longest = 0.0
    for size in batches:
        start = time.monotonic()
        fits = longest < seconds_left()
        rows.append(make_row(make, setting, size) if fits else {"batch": size, "failed": "no time was left for it"})
        longest = max(longest, time.monotonic() - start)
        write_figures(result, {"network": setting.model.config.name, "contender": title, "rows": rows})
    if wrong := [f"batch {row['batch']}: {row['failed']}" for row in rows if "failed" in row]:
        raise YolactError(f"{title}: {'; '.join(wrong)}")


def make_row(make: Opening, setting: Setting, size: int) -> dict[str, Any]:
    """The row of a contender in batches of this size. The contender's memory on the GPU is free again afterwards."""
    row: dict[str, Any] = {"batch": size}
    try:
        with closing(make(setting, size, row)) as one:
            return row | measure(one, setting, size, reference(one, setting))
    except torch.cuda.OutOfMemoryError:
        return row | {"skipped": "the GPU's memory does not suffice"}


def reference(one: Contender, setting: Setting) -> list[Detections]:
    """The reference detections of each distinct image, made from this contender's form of the network's input."""
    config = setting.model.config
    prepare = one.prepare_on_cpu(config.image_size)
    cache = setting.folder / f"{config.name}-{type(one).prepare_on_cpu.__qualname__}.npz"
    return reference_detections(setting.model, setting.postprocess, setting.images, prepare, cache)


def measure(one: Contender, setting: Setting, size: int, expected: Sequence[Detections]) -> dict[str, Any]:
    """A row: how well the contender's detections agree with the reference and, only where they do, its times."""
    row: dict[str, Any] = {}
    for offset in (0, 1):  # the second time with other images in each place, and after the runs that are timed
        totals, wrong = check(one, setting, size, expected, offset)
        row |= {"matched": totals.matched, "missed": totals.missed, "spurious": totals.spurious}
        row |= {"score_difference": round(totals.max_score_difference, 4), "mask_iou": totals.median_mask_iou}
        if wrong:
            return row | {"failed": f"detections do not agree with NumPy's of the float32 network: {wrong}"}
        if offset == 0:
            whole, stages = time_whole(one, setting), time_stages(one, setting)
    return row | {"fps": size / whole, "milliseconds": whole * 1e3, "stages": {k: v * 1e3 for k, v in stages.items()}}


def check(one: Contender, setting: Setting, size: int, expected: Sequence[Detections], offset: int) -> Any:
    """The result of `differences` over all distinct images, in as many runs as they need."""
    found, references = [], []
    for start in range(offset, offset + len(setting.images), size):
        one.images = setting.batch(size, start)
        one.run()
        found += one.found()
        references += [expected[(start + i) % len(expected)] for i in range(size)]
    return differences(found, references)


def time_whole(one: Contender, setting: Setting) -> float:
    """Median seconds of a run."""
    return _time({"": one.run}, setting)[""]


def time_stages(one: Contender, setting: Setting) -> dict[str, float]:
    """Median seconds of each stage, including the GPU's work."""
    return _time(one.stages, setting)


def _time(works: dict[str, Callable[[], None]], setting: Setting) -> dict[str, float]:
    samples: dict[str, list[float]] = {name: [] for name in works}
    runs, end = 0, float("inf")
    while runs < WARM_UPS + LEAST_RUNS or (runs < MOST_RUNS and time.perf_counter() < end):
        if runs == WARM_UPS:
            end = time.perf_counter() + setting.seconds
        for name, work in works.items():
            setting.wait()
            start = time.perf_counter()
            work()
            setting.wait()
            samples[name].append(time.perf_counter() - start)
        runs += 1
    return {name: median(values[WARM_UPS:]) for name, values in samples.items()}
