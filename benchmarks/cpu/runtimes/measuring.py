"""The rounds of the comparison: networks are prepared, contenders are checked, timed in turn, and scored."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from tqdm import tqdm, trange

from benchmarks.cpu.runtimes.agreement import References
from benchmarks.cpu.runtimes.contenders import BASELINE, CONTENDERS, REFERENCE
from benchmarks.cpu.runtimes.export import write_files
from benchmarks.cpu.runtimes.files import Files
from benchmarks.cpu.runtimes.workers import Failed, Worker
from benchmarks.images import (
    PHOTO_SIZE,
    write_photos,
)
from benchmarks.networks import seeded_model
from benchmarks.trained_models import TrainedModel, model_of_bins, model_of_nuclei
from yolact.calib.image_set import ImageSet
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.image_files import write_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.session import session_options
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import get_config
from yolact.training.models.model import Yolact

WARM_UPS = 2
PHOTOS = 3
LARGE_PHOTO_SIZE = (3000, 4000)

SETTLE_SECONDS = 0.05
"""Threads of some runtimes go on spinning for a while after a run."""

Rows = dict[str, dict[str, Any]]


def measure_speed(model: Yolact, names: Sequence[str], runs: int, threads: int) -> dict[str, Any]:
    """Rows of all contenders up to the heads and end to end, and further figures of this project's runtime."""
    photos = [make_check_image(*PHOTO_SIZE, seed) for seed in range(PHOTOS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = ImageSet.of_folder(write_photos(folder / "photos", PHOTOS), PHOTOS)
        files = write_files(model, PostprocessConfig(), folder, images)
        references = References(files, photos)
        result: dict[str, Any] = {"photo_size": list(PHOTO_SIZE), "photos_compared": PHOTOS}
        with_heads = [name for name in names if CONTENDERS[name].open_heads is not None]
        result["heads"] = measure_level("heads", references.check_heads, with_heads, files, photos, runs, threads)
        result["end_to_end"] = measure_level(
            "end_to_end", references.check_end_to_end, names, files, photos, runs, threads
        )
        if REFERENCE in names:
            result["in_graph_postprocessing_ms"] = in_graph_postprocessing(files, photos[0], runs, threads)
            result["large_photo"] = large_photo_memory(files, threads)
    return result


def measure_level(
    level: str,
    check: Callable[..., dict[str, Any]],
    names: Sequence[str],
    files: Files,
    photos: list[Image],
    runs: int,
    threads: int,
) -> Rows:
    """One row for each contender: figures, or `failed` with the reason."""
    rows: Rows = {name: {"label": CONTENDERS[name].label, "rounded": CONTENDERS[name].rounded} for name in names}
    with started(names, level, files, threads, photos) as workers:
        for name in tqdm(names, desc=f"{level}: checks", disable=None):
            with dropping(name, workers, rows):
                answers = [workers[name].ask("answer", index) for index in range(len(photos))]
                rows[name]["agreement"] = check(answers, rounded=CONTENDERS[name].rounded)
        samples = take_turns(workers, rows, runs, level)
        for name in list(workers):
            with dropping(name, workers, rows):
                rows[name]["peak_memory_mb"] = workers[name].ask("peak_memory")
                rows[name] |= summarise(samples[name], samples.get(BASELINE))
    return rows


def take_turns(workers: dict[str, Worker], rows: Rows, runs: int, level: str) -> dict[str, list[dict[str, float]]]:
    """Milliseconds of each contender's runs by part, one run of each in turn."""
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for run in trange(WARM_UPS + runs, desc=f"{level}: rounds", disable=None):
        for name in list(workers):
            with dropping(name, workers, rows):
                ms = workers[name].ask("time")
                if run >= WARM_UPS:
                    samples[name].append(ms)
            time.sleep(SETTLE_SECONDS)
    return {name: samples[name] for name in workers}


def summarise(samples: list[dict[str, float]], baseline: list[dict[str, float]] | None) -> dict[str, Any]:
    """Median and spread in ms, medians of the parts, and the median of the speed relative to the baseline's run in the
    same round."""
    totals = [sample["total"] for sample in samples]
    low, middle, high = np.percentile(totals, [10, 50, 90]).tolist()
    row: dict[str, Any] = {"ms": {"median": middle, "p10": low, "p90": high}}
    if baseline is not None:
        row["times_as_fast"] = median(b["total"] / total for b, total in zip(baseline, totals, strict=True))
    parts = {part: median(sample[part] for sample in samples) for part in samples[0] if part != "total"}
    return row | ({"parts_ms": parts} if parts else {})


@contextmanager
def started(names: Sequence[str], *arguments: Any) -> Iterator[dict[str, Worker]]:
    """A worker for each contender; all of them end with the block."""
    workers = {name: Worker(name, *arguments) for name in names}
    everyone = list(workers.values())
    try:
        yield workers
    finally:
        for worker in everyone:
            worker.close()


@contextmanager
def dropping(name: str, workers: dict[str, Worker], rows: Rows) -> Iterator[None]:
    """A contender that fails here leaves the comparison; its row has the reason."""
    try:
        yield
    except Failed as failure:
        rows[name]["failed"] = str(failure)
        workers.pop(name).close()


def in_graph_postprocessing(files: Files, photo: Image, runs: int, threads: int) -> float:
    """Milliseconds of a run inside the two post-processing functions, by ONNX Runtime's profiler."""
    options = session_options(threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(files.folder / "profile")
    session = onnxruntime.InferenceSession(str(files.path("full.onnx")), options, providers=["CPUExecutionProvider"])
    pixels = Preprocessor(files.metadata.config.image_size)([photo])
    for _ in range(WARM_UPS + runs):
        session.run(None, {"images": pixels})
    kernels: dict[str, list[float]] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event["name"].endswith("_kernel_time") and "Yolact" in event["name"]:
            kernels.setdefault(event["name"], []).append(event["dur"] / 1e3)
    return sum(median(durations[WARM_UPS:]) for durations in kernels.values())


def large_photo_memory(files: Files, threads: int) -> dict[str, Any]:
    """Peak memory in MB of a process of this project's runtime that encodes the masks of a large photo's instances."""
    photo = files.folder / "large.jpg"
    write_image(photo, make_check_image(*LARGE_PHOTO_SIZE))
    with started([REFERENCE], "end_to_end", files, threads) as workers:
        count = workers[REFERENCE].ask("encode", photo)
        memory = workers[REFERENCE].ask("peak_memory")
    return {"size": list(LARGE_PHOTO_SIZE), "detections": count, "peak_memory_mb": memory}


def measure_trained(trained: TrainedModel, names: Sequence[str], runs: int, threads: int) -> dict[str, Any]:
    """Rows of all contenders end to end with a trained model: speed on one picture, and mask and box AP on all.

    Contenders are scored all at once, on one thread each, as nothing is timed then.
    """
    with tempfile.TemporaryDirectory() as name:
        files = write_files(load_checkpoint(trained.checkpoint).eval(), trained.limits, Path(name), trained.calibration)
        picture = trained.truth.read(0)
        rows = measure_level("end_to_end", _judged_by_accuracy, names, files, [picture], runs, threads)
        judged = [name for name in names if "failed" not in rows[name]]
        with started(judged, "end_to_end", files, 1) as workers:
            for worker in workers.values():
                worker.put("accuracy", trained.truth)
            for name in tqdm(judged, desc="accuracy", disable=None):
                with dropping(name, workers, rows):
                    rows[name]["ap"] = workers[name].get()
    return {"checkpoint": trained.checkpoint.name, "pictures": len(trained.truth.images), "rows": rows}


def _judged_by_accuracy(answers: Sequence[Any], *, rounded: bool) -> dict[str, Any]:
    return {"detections": sum(len(one) for one in answers)}


def measure(names: Sequence[str], runs: int, threads: int, bins: int, nuclei: Path | None) -> dict[str, Any]:
    """Speed of the official network, speed and accuracy of the trained models."""
    speed = measure_speed(seeded_model(get_config("yolact_resnet50")), names, runs, threads)
    figures: dict[str, Any] = {"network": "yolact_resnet50", "runs": runs, **speed, "trained": {}}
    with tempfile.TemporaryDirectory() as name:
        figures["trained"]["bins"] = measure_trained(model_of_bins(Path(name), bins), names, runs, threads)
    if nuclei is not None:
        figures["trained"]["nuclei"] = measure_trained(model_of_nuclei(nuclei), names, runs, threads)
    return figures
