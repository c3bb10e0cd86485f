"""Measures a video from decoding to encoding, stage by stage, beside the engine alone."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from yolact.runtime.bench import machine
from yolact.runtime.bench.measure import WARM_UPS, BenchRequest, describe_engine
from yolact.runtime.bench.stages import StagedEngine, in_steps
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.detection_stream import DetectionStream
from yolact.runtime.detections import Detections
from yolact.runtime.engine import Engine
from yolact.runtime.engine_files import open_engine
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.drawing import annotate
from yolact.runtime.pipeline import run_stages
from yolact.runtime.video.frames import Frame
from yolact.runtime.video.opening import create_video, open_video

VideoStage = Literal["decode", "preprocess", "network", "postprocess", "draw", "encode"]

_LANES: tuple[tuple[VideoStage, ...], ...] = (
    ("decode",),
    ("preprocess", "network", "postprocess"),
    ("draw",),
    ("encode",),
)
"""Stages that follow each other in one thread, and so wait together."""

MADE_UP = "video"
"""The name of the made-up film where a source is named."""

_MADE_UP_SIZE, _MADE_UP_FRAMES = (720, 1280), 50
_IN_FLIGHT = 2

T = TypeVar("T")


class _Clock:
    """Durations of each stage, milliseconds."""

    def __init__(self) -> None:
        self.took: dict[VideoStage, list[float]] = {stage: [] for stage in get_args(VideoStage)}

    def time(self, stage: VideoStage, work: Callable[[], T], images: int = 1) -> T:
        """Do the work of a stage on so many images."""
        start = time.perf_counter()
        done = work()
        self.took[stage] += [1000 * (time.perf_counter() - start) / images] * images
        return done


def run_video_benchmark(request: BenchRequest, source: str) -> dict[str, Any]:
    """Measure a video file, again and again from its beginning, or a made-up film, for the seconds of the request.

    Frames take the way that `yolact-infer` sends them: four threads, decoding, the network, drawing and encoding, with
    a few frames between them. Before and after that the engine runs alone for a quarter of the time each, on an image
    that is ready for it. Returns the contents of the JSON file, which docs/how-to/bench.md describes.

    Raises:
        EngineError: the file cannot run here.
        ImageError: the source is no video, or damaged.
        PackageMissing: PyAV is not installed.
    """
    with tempfile.TemporaryDirectory() as name, closing(open_engine(request.engine, request.open_options)) as engine:
        path = _make_up(Path(name)) if source == MADE_UP else Path(source)
        with closing(in_steps(engine)) as steps:
            load = machine.load_average()
            alone = _run_alone(steps, engine, request.duration_s / 4)
            clock, frames, seconds = _run_film(steps, engine, path, Path(name) / "out.mp4", request.duration_s)
            alone += _run_alone(steps, engine, request.duration_s / 4)
            described = describe_engine(request, engine, steps)
    rates = frames / seconds, 1000 * len(alone) * engine.min_batch / sum(alone)
    return {
        "engine": described,
        "source": source,
        "machine": {
            "cpu": machine.describe_cpu(),
            "load_average_before": load,
            "versions": machine.read_versions(),
        },
        "frames": frames,
        "seconds": seconds,
        "stages": _summarise(clock, seconds),
        "frames_per_s": rates[0],
        "engine_images_per_s": rates[1],
        "share_of_engine": rates[0] / rates[1],
    }


def _make_up(folder: Path) -> Path:
    """A camera that turns over a scene, in H.264 or another codec at hand."""
    height, width = _MADE_UP_SIZE
    scene = make_check_image(height, width + 4 * _MADE_UP_FRAMES)
    path = folder / "made-up.mp4"
    with create_video(path, 25) as video:
        for frame in range(_MADE_UP_FRAMES):
            video.write(np.ascontiguousarray(scene[:, 4 * frame : 4 * frame + width]))
    return path


def _run_alone(steps: StagedEngine, engine: Engine, seconds: float) -> list[float]:
    """Milliseconds of the engine's runs on a batch that is ready, for so long, at least one run."""
    batch = steps.prepare([make_check_image(*_MADE_UP_SIZE)] * engine.min_batch)
    for _ in range(WARM_UPS):
        steps.run(batch)
    took, end = list[float](), time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        start = time.perf_counter()
        steps.run(batch)
        took.append(1000 * (time.perf_counter() - start))
    return took


def _run_film(
    steps: StagedEngine, engine: Engine, path: Path, output: Path, seconds: float
) -> tuple[_Clock, int, float]:
    """Send frames through all stages; returns the durations of each, the number of frames counted, and the seconds."""
    clock, batch = _Clock(), engine.min_batch
    uncounted = WARM_UPS * batch

    def detect(images: Sequence[Image]) -> list[Detections]:
        full = [*images, *[images[-1]] * (batch - len(images))]
        ready = clock.time("preprocess", lambda: steps.prepare(full), batch)
        outputs, _ = clock.time("network", lambda: steps.run(ready), batch)
        sizes = [(image.shape[0], image.shape[1]) for image in full]
        found = clock.time("postprocess", lambda: steps.finish(steps.collect(outputs), sizes), batch)
        return [one.select(DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K) for one in found[: len(images)]]

    def find(frames: Iterable[Frame]) -> Generator[tuple[Frame, Detections], None, None]:
        begun = deque[Frame]()
        images = (begun.append(frame) or frame.image for frame in frames)  # type: ignore[func-returns-value]
        with DetectionStream(detect, images, batch_size=batch, in_flight=_IN_FLIGHT, overlapping=False) as stream:
            for found in stream:
                yield begun.popleft(), found

    def draw(found: Iterable[tuple[Frame, Detections]]) -> Generator[Image, None, None]:
        for frame, detections in found:
            yield clock.time("draw", lambda: annotate(frame.image, detections))  # noqa: B023, done at once

    count, start = 0, time.perf_counter()
    stages = run_stages(_frames(path, clock), find, draw, slowest=find)
    with create_video(output, 25) as video, closing(stages) as pictures:
        for picture in pictures:
            clock.time("encode", lambda: video.write(picture))  # noqa: B023, done at once
            count += 1
            if count == uncounted:
                clock.took, start = _Clock().took, time.perf_counter()
            elif count > uncounted and time.perf_counter() - start >= seconds:
                break
    return clock, count - uncounted, time.perf_counter() - start


def _frames(path: Path, clock: _Clock) -> Iterator[Frame]:
    """The frames of a video, from the beginning again when it ends."""
    while True:
        with open_video(path, str(path)) as video:
            frames = iter(video)
            while (frame := clock.time("decode", lambda: next(frames, None))) is not None:  # noqa: B023
                yield frame


def _summarise(clock: _Clock, seconds: float) -> dict[str, Any]:
    """For each stage the median and the share of time in which its thread waited for the stages beside it."""
    found: dict[str, Any] = {}
    for lane in _LANES:
        busy = sum(sum(clock.took[stage]) for stage in lane) / 1000
        for stage in lane:
            took = clock.took[stage]
            found[stage] = {"median_ms": median(took) if took else None, "waited": max(0.0, 1 - busy / seconds)}
    return found


def video_lines(result: dict[str, Any]) -> Iterator[str]:
    """The result of `run_video_benchmark` as lines of text."""
    engine, cpu = result["engine"], result["machine"]["cpu"]
    size = engine["image_size_px"]
    yield f"{engine['file']}: {engine['config']}, {size}x{size}, {engine['graph']} graph, {engine['precision']}"
    yield f"runs on: {engine['software']}, {engine['device']}"
    load = result["machine"]["load_average_before"]
    yield f"CPU: {cpu['model']}, {cpu['usable_cores']} usable cores, load {'unknown' if load is None else load} before"
    made_up = f"made-up film, {_MADE_UP_SIZE[1]}x{_MADE_UP_SIZE[0]}"
    yield f"source: {made_up if result['source'] == MADE_UP else result['source']}, {result['frames']} frames"
    yield ""
    yield f"{'':<16}{'median ms':>11}{'waited %':>11}"
    for stage, one in result["stages"].items():
        took = "-" if one["median_ms"] is None else f"{one['median_ms']:.3f}"
        yield f"{stage:<16}{took:>11}{100 * one['waited']:>11.1f}"
    yield ""
    alone = f"the engine alone: {result['engine_images_per_s']:.3f} images/s"
    yield f"video: {result['frames_per_s']:.3f} frames/s; {alone}"
    yield f"the video reaches {result['share_of_engine']:.3f} of the engine's own throughput"
