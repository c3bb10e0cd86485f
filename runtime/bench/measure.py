"""Runs a benchmark: the work of `yolact-bench` between options and output."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, get_args

from yolact.runtime.bench import machine
from yolact.runtime.bench.photos import Photos
from yolact.runtime.bench.stages import MaskForm, Stage, StagedDetector, StagedEngine, in_steps
from yolact.runtime.bench.streamed import measure_stream
from yolact.runtime.bench.summary import fit_slope, summarise_runs
from yolact.runtime.cuda.device import Device
from yolact.runtime.detector import Detector
from yolact.runtime.engine import CPU, Engine, EngineOptions
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.tensorrt.plan_file import read_plan_header

WARM_UPS = 3
"""Runs that are not counted: memory is allocated in the first, a CUDA graph recorded in the second."""

KEPT = (0, 1, 10, 50, 100)
"""Numbers of detections kept of an image, to measure the cost of a detection."""

PAPER_STAGES: tuple[Stage, ...] = ("engine", "device_to_host", "postprocess")
"""The stages that the official `eval.py --benchmark` counts; see docs/how-to/bench.md."""


@dataclass(frozen=True)
class BenchRequest:
    """A request for a benchmark.

    Attributes:
        engine: ONNX file or plan.
        batches: batch sizes to measure; none for the smallest that the file takes.
        duration_s: seconds for each batch size stage by stage, as many for its stream, and as many for all numbers of
            detections together; warm-up runs are not counted.
        masks: form of the masks at image size: arrays, or COCO RLE.
        open_options: how the engine file is opened.
    """

    engine: Path
    batches: Sequence[int] = ()
    duration_s: float = 10.0
    masks: MaskForm = "full"
    open_options: EngineOptions = field(default_factory=EngineOptions)


def run_benchmark(request: BenchRequest, photos: Photos) -> dict[str, Any]:
    """Measure everything. Returns the contents of the JSON file, which docs/how-to/bench.md describes.

    Raises:
        EngineError: the file cannot run here.
        UsageError: a batch that the file does not take.
        ImageError: a file is no image.
        YolactError: memory does not suffice.
    """
    with ExitStack() as stack:
        gpu = _open_gpu(request)
        if gpu is not None:
            stack.callback(gpu.close)
        gpu_memory = None if gpu is None else machine.used_gpu_memory_mib(gpu)
        engine = open_engine(request.engine, request.open_options)
        stack.callback(engine.close)
        steps = stack.enter_context(closing(in_steps(engine)))
        try:
            return _measure(request, photos, engine, steps, gpu, gpu_memory)
        except MemoryError:
            raise YolactError("the host's memory does not suffice; take smaller batches, or --masks rle") from None


def _open_gpu(request: BenchRequest) -> Device | None:
    """The GPU that the engine will be on, None where it is to run on the CPU or the GPU cannot be asked."""
    device = request.open_options.device or CPU
    if device.kind in ("cpu", "openvino") and read_plan_header(request.engine) is None:
        return None
    with suppress(EngineError):  # open_options the engine says why, and better
        return Device.open(device.index)
    return None


def _measure(
    request: BenchRequest,
    photos: Photos,
    engine: Engine,
    steps: StagedEngine,
    gpu: Device | None,
    gpu_memory: float | None,
) -> dict[str, Any]:
    batches = list(dict.fromkeys(request.batches)) or [engine.min_batch]
    for batch in batches:
        steps.check_batch(batch)
    detector = StagedDetector(steps, request.masks)
    load, before = machine.load_average(), machine.read_clocks(gpu)
    rows = [_measure_row(detector, Detector(engine), photos, batch, request) for batch in batches]
    image = photos.first().decode()
    found = detector.find(image, engine.min_batch)
    by_detections = measure_detections(detector, found, image.shape[:2], request.duration_s)
    after = machine.read_clocks(gpu)
    return {
        "engine": describe_engine(request, engine, steps),
        "settings": {
            "images": list(photos.names),
            "batches": batches,
            "duration_s": request.duration_s,
            "warm_up_runs": WARM_UPS,
            "masks": request.masks,
        },
        "machine": {
            "cpu": machine.describe_cpu(),
            "gpu": None if gpu is None else machine.describe_gpu(gpu),
            "load_average_before": load,
            "clocks_before": before,
            "clocks_after": after,
            "versions": machine.read_versions(),
        },
        "batches": rows,
        "by_detections": {"image": photos.names[0], **by_detections},
        "fps": count_fps(rows),
        "memory": _measure_memory(gpu, gpu_memory),
    }


def _measure_row(
    staged: StagedDetector, detector: Detector, photos: Photos, batch: int, request: BenchRequest
) -> dict[str, Any]:
    """One batch size, stage by stage and as a stream."""
    stages = measure_batch(staged, photos, batch, request.duration_s)
    streamed = measure_stream(detector, photos, batch, request.duration_s, request.masks, warm_ups=WARM_UPS)
    return {**stages, "streamed": streamed}


def _measure_memory(gpu: Device | None, gpu_memory: float | None) -> dict[str, float | None]:
    """The peak of this process, and by how much the GPU's rose since ``gpu_memory`` was read, in MiB."""
    memory = {"peak_host_mib": machine.peak_host_memory_mib()}
    if gpu is not None and gpu_memory is not None:
        memory["gpu_rise_mib"] = round(machine.used_gpu_memory_mib(gpu) - gpu_memory, 1)
    return memory


def describe_engine(request: BenchRequest, engine: Engine, steps: StagedEngine) -> dict[str, Any]:
    """The measured engine, for the JSON."""
    metadata = engine.metadata
    return {
        "file": str(request.engine),
        "file_bytes": request.engine.stat().st_size,
        "software": steps.software,
        "device": str(request.open_options.device or ("cpu" if read_plan_header(request.engine) is None else "cuda:0")),
        "config": metadata.config.name,
        "image_size_px": metadata.config.image_size,
        "graph": metadata.graph,
        "precision": metadata.types,
        "postprocess": asdict(metadata.postprocess),
        "weights_sha256": metadata.weights_sha256,
        "tool_version": metadata.tool_version,
        "min_batch": engine.min_batch,
        "max_batch": engine.max_batch,
    }


def measure_batch(detector: StagedDetector, photos: Photos, batch: int, duration_s: float) -> dict[str, Any]:
    """Run batches of this size for so many seconds, at least one.

    Returns the latency of each stage; a stage that the engine does not have is None.
    """
    for _ in range(WARM_UPS):
        detector(photos.take(batch))
    samples: dict[Stage, list[float]] = {}
    counts: list[int] = []
    for _ in _until(duration_s, f"batch {batch}"):
        files = photos.take(batch)  # reading them from the disk is not a matter of this program's speed
        timed = detector(files)
        counts += map(len, timed.detections)
        for stage, milliseconds in timed.milliseconds.items():
            samples.setdefault(stage, []).append(milliseconds)
    return {
        "batch": batch,
        "runs": len(counts) // batch,
        "images": len(counts),
        "mean_detections": mean(counts),
        "stages": {
            stage: summarise_runs(samples[stage], batch) if stage in samples else None for stage in get_args(Stage)
        },
    }


def measure_detections(
    detector: StagedDetector, found: Any, image_size: tuple[int, int], duration_s: float
) -> dict[str, Any]:
    """Time boxes and masks at image size (height, width) for several numbers of the best detections.

    `found` is the result of `detector.find`. The numbers of detections take turns, so that a machine that changes its
    speed does so for all of them.
    """
    count_found = len(detector.finish([found], [image_size])[0])
    most = min(count_found, KEPT[-1])
    kept = sorted({count for count in KEPT if count < most} | {most})
    samples: dict[int, list[float]] = {count: [] for count in kept}
    for _ in range(WARM_UPS):
        for count in kept:
            detector.finish([found], [image_size], count)
    for _ in _until(duration_s, "detections"):
        for count in kept:
            start = time.perf_counter()
            detector.finish([found], [image_size], count)
            samples[count].append(1000 * (time.perf_counter() - start))
    latencies = [summarise_runs(samples[count], 1) for count in kept]
    return {
        "width_px": image_size[1],
        "height_px": image_size[0],
        "found": count_found,
        "runs": len(samples[most]),
        "counts": [{"detections": count, **latency} for count, latency in zip(kept, latencies, strict=True)],
        "ms_per_detection": fit_slope(kept, [latency["p50_ms"] for latency in latencies]),
    }


def _until(duration_s: float, title: str) -> Iterator[None]:
    """Yields once, and again until so many seconds have passed; a progress bar counts the runs."""
    end = time.perf_counter() + duration_s
    with ProgressBar(desc=title, unit=" runs", leave=False) as bar:
        while True:
            yield
            bar.update()
            if time.perf_counter() >= end:
                return


def count_fps(rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Images a second at batch 1, as the paper counts and from file to masks; None where batch 1 was not measured."""
    stages = next((row["stages"] for row in rows if row["batch"] == 1), None)
    if stages is None:
        return {"as_the_paper": None, "end_to_end": None}
    counted = sum(stages[stage]["mean_ms"] for stage in PAPER_STAGES if stages[stage] is not None)
    return {"as_the_paper": 1000 / counted, "end_to_end": stages["end_to_end"]["images_per_s"]}
