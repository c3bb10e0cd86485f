"""Measures a video from decoding to encoding, stage by stage, beside the engine alone."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np

from yolact.runtime.bench import machine
from yolact.runtime.bench.measure import WARM_UPS, BenchRequest, describe_engine
from yolact.runtime.bench.stages import StagedEngine, in_steps
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.detection_stream import DetectionStream
from yolact.runtime.detections import Detections
from yolact.runtime.engine import Engine, ImageEngine
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


class _Film(NamedTuple):
    """Durations of the stages, frames that were counted, and the seconds they took."""

    clock: _Clock
    frames: int
    seconds: float


def run_video_benchmark(request: BenchRequest, source: str) -> dict[str, Any]:
    """Measure a video file, again and again from its beginning, or a made-up film, for the seconds of the request.

    Frames take the way that `yolact-infer` sends them: threads for decoding, the network, drawing and encoding, with a
    few frames between them. Before and after that the engine runs alone for a quarter of the time each, on an image
    that is ready for it, and, where `yolact-infer` computes several frames at once, once more in this way. Returns the
    contents of the JSON file, which docs/how-to/bench.md describes.

    Raises:
        EngineError: the file cannot run here.
        ImageError: the source is no video, or damaged.
        PackageMissing: PyAV is not installed.
    """
    quarter, options = request.duration_s / 4, replace(request.open_options, throughput=True)
    with tempfile.TemporaryDirectory() as name:
        path = _make_up(Path(name)) if source == MADE_UP else Path(source)
        load = machine.load_average()
        alone = [_one_by_one(request, quarter)]
        with closing(open_engine(request.engine, options)) as engine, closing(in_steps(engine)) as steps:
            streams = 1 if isinstance(engine, ImageEngine) else engine.streams
            film = _run_film(steps, engine, path, Path(name) / "out.mp4", request.duration_s, streams)
            at_once = _run_alone(steps, engine, quarter, streams) if streams > 1 else None
            described = describe_engine(request, engine, steps)
        alone.append(_one_by_one(request, quarter))
    rate, one_by_one = film.frames / film.seconds, mean(alone)
    return {
        "engine": described,
        "source": source,
        "machine": {
            "cpu": machine.describe_cpu(),
            "load_average_before": load,
            "versions": machine.read_versions(),
        },
        "frames": film.frames,
        "seconds": film.seconds,
        "stages": _summarise(film, streams),
        "frames_per_s": rate,
        "engine_images_per_s": one_by_one,
        "share_of_engine": rate / one_by_one,
        "streams": streams,
        "engine_at_once_images_per_s": at_once,
        "share_of_engine_at_once": None if at_once is None else rate / at_once,
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


def _one_by_one(request: BenchRequest, seconds: float) -> float:
    """Images a second of the engine alone, opened for one image after the other."""
    with closing(open_engine(request.engine, request.open_options)) as engine, closing(in_steps(engine)) as steps:
        return _run_alone(steps, engine, seconds, streams=1)


def _run_alone(steps: StagedEngine, engine: Engine, seconds: float, streams: int) -> float:
    """Images a second in so many threads, on a batch that is ready, for so long, at least one run in each."""
    batch = steps.prepare([make_check_image(*_MADE_UP_SIZE)] * engine.min_batch)
    for _ in range(WARM_UPS):
        steps.run(batch)
    start = time.perf_counter()

    def run(_: int) -> int:
        count = 0
        while not count or time.perf_counter() < start + seconds:
            steps.run(batch)
            count += 1
        return count

    with ThreadPoolExecutor(streams) as pool:
        runs = sum(pool.map(run, range(streams)))
    return runs * engine.min_batch / (time.perf_counter() - start)


def _run_film(steps: StagedEngine, engine: Engine, path: Path, output: Path, seconds: float, streams: int) -> _Film:
    """Send frames through all stages."""
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
        threads = streams if streams > 1 else None
        with DetectionStream(detect, images, batch_size=batch, in_flight=2 * streams, streams=threads) as stream:
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
    return _Film(clock, count - uncounted, time.perf_counter() - start)


def _frames(path: Path, clock: _Clock) -> Iterator[Frame]:
    """The frames of a video, from the beginning again when it ends."""
    while True:
        with open_video(path, str(path)) as video:
            frames = iter(video)
            while (frame := clock.time("decode", lambda: next(frames, None))) is not None:  # noqa: B023
                yield frame


def _summarise(film: _Film, streams: int) -> dict[str, Any]:
    """For each stage the median and the share of time in which its threads waited for the stages beside it."""
    found: dict[str, Any] = {}
    for lane in _LANES:
        threads = streams if "network" in lane else 1
        busy = sum(sum(film.clock.took[stage]) for stage in lane) / 1000 / threads
        for stage in lane:
            took = film.clock.took[stage]
            found[stage] = {"median_ms": median(took) if took else None, "waited": max(0.0, 1 - busy / film.seconds)}
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
    yield f"video: {result['frames_per_s']:.3f} frames/s"
    alone = f"{result['engine_images_per_s']:.3f} images/s one after the other"
    yield f"the engine alone: {alone}, of which the video reaches {result['share_of_engine']:.3f}"
    if result["streams"] > 1:
        alone = f"{result['engine_at_once_images_per_s']:.3f} images/s, {result['streams']} at once"
        yield f"the engine alone: {alone}, of which the video reaches {result['share_of_engine_at_once']:.3f}"
