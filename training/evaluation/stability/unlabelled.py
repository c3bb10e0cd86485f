"""Measures how calm a detector is in videos without annotations, whose motion optical flow finds."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.errors import DatasetError
from yolact.runtime.images.arrays import Image
from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.tracking.following import Following
from yolact.runtime.video.frames import Frame
from yolact.runtime.video.opening import open_video
from yolact.runtime.wording import count_noun, printable
from yolact.training.evaluation.stability.flow import Flow, FlowMove
from yolact.training.evaluation.stability.motions import LEAST_SIDE
from yolact.training.evaluation.stability.steps import Stability, Step, measure_step
from yolact.training.evaluation.stability.strip import Strip, StripFrame, badness, draw_found
from yolact.training.evaluation.stability.ways import WAYS, Way, json_key

if TYPE_CHECKING:
    from yolact.runtime.detections import Detections
    from yolact.runtime.detector import Detector

Shown = Mapping[Way, "Detections"]


@dataclass(frozen=True)
class VideoStability:
    """The measured figures of a video.

    Attributes:
        name: of the file.
        times: of each frame but the first, in seconds: a step leads to it from the frame before.
        steps: in each way.
        discarded: of each step that needed the flow, the share of pixels where it could not be trusted; of the others,
            in which neither the camera nor an instance moved, None.
        strip: some frames.
    """

    name: str
    times: list[float]
    steps: dict[Way, list[Step]]
    discarded: list[float | None]
    strip: list[StripFrame]

    @property
    def still_steps(self) -> int:
        """Steps in which masks were compared where they are."""
        return sum(share is None for share in self.discarded)

    def figures(self, way: Way) -> Stability:
        """The figures over all steps."""
        return Stability.of(self.steps[way])


def measure_video(
    detector: Detector, path: Path, limit: int | None = None, *, top_k: int = DISPLAY_TOP_K, progress: bool = True
) -> VideoStability:
    """Run a detector over the first `limit` frames of a video file, or all, and compare the best `top_k` instances of
    each with those of the next.

    Raises:
        ImageError: the file is no video, or damaged.
        PackageMissing: PyAV is not installed.
        DatasetError: there are less than two frames, or they are small.
    """
    with open_video(path, str(path)) as video:
        bar = ProgressBar(
            total=limit or video.frame_count,
            desc=printable(path.name),
            unit=" frames",
            leave=None,
            disable=not progress,
        )
        watch = _Watch(path)
        with bar, closing(_shown(detector, islice(video, limit), top_k)) as shown:
            for frame, found in shown:
                watch.add(frame, found)
                bar.update()
    return watch.finish()


def _shown(detector: Detector, frames: Iterable[Frame], top_k: int) -> Generator[tuple[Frame, Shown], None, None]:
    """The shown detections of each frame in each way."""
    following = Following(DISPLAY_SCORE_THRESHOLD, smooth=True)
    begun = deque[Frame]()

    def images() -> Iterator[Image]:
        for frame in frames:
            begun.append(frame)
            yield frame.image

    batch = detector.engine.min_batch
    with detector.stream(images(), 2, batch_size=batch, score_threshold=following.least_score, top_k=top_k) as stream:
        for found in stream:
            smoothed = following.next(found, None)
            yield begun.popleft(), {"as found": found.select(DISPLAY_SCORE_THRESHOLD), "smoothed": smoothed}


class _Watch:
    """Compares each frame with the one before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: tuple[Frame, Shown] | None = None
        self._count = 0
        self._times: list[float] = []
        self._steps: dict[Way, list[Step]] = {way: [] for way in WAYS}
        self._discarded: list[float | None] = []
        self._strip = Strip()

    def add(self, frame: Frame, found: Shown) -> None:
        """Take in the next frame. Raises DatasetError where it is small, or of another size than those before."""
        side = min(frame.image.shape[:2])
        if side < LEAST_SIDE:
            raise DatasetError(
                f"{self._path} has a side of {side} pixels; --stability needs videos of {LEAST_SIDE} or more"
            )
        bad = 0.0
        if self._before is not None:
            self._compare(*self._before, frame, found)
            bad = badness(self._steps["as found"][-1])
        pair = {self._count: (frame, found), self._count - 1: self._before or (frame, found)}
        self._strip.add(self._count, bad, lambda number: draw_found(pair[number][0].image, pair[number][1]))
        self._before, self._count = (frame, found), self._count + 1

    def _compare(self, first: Frame, before: Shown, second: Frame, after: Shown) -> None:
        if first.image.shape != second.image.shape:
            sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (first.image, second.image)]
            raise DatasetError(
                f"{self._path}: expected frames of one size, got {sizes[0]} and at {second.time:.2f} s {sizes[1]}; cut "
                "the video there"
            )
        flow = Flow.between(first.image, second.image)
        move = flow.to_move(list(before["as found"].masks))
        for way in WAYS:
            self._steps[way].append(measure_step(before[way], after[way], move))
        self._discarded.append(flow.discarded if isinstance(move, FlowMove) else None)
        self._times.append(second.time)

    def finish(self) -> VideoStability:
        """The measured figures. Raises DatasetError where there is nothing to compare."""
        if not self._times:
            got = count_noun(self._count, "frame")
            raise DatasetError(f"{self._path}: expected two frames or more to compare, got {got}")
        return VideoStability(self._path.name, self._times, self._steps, self._discarded, self._strip.frames())


def to_json_values(videos: Iterable[VideoStability]) -> dict[str, Any]:
    """All figures."""
    all_videos = list(videos)
    return {
        **{json_key(way): Stability.of([s for one in all_videos for s in one.steps[way]]).to_json() for way in WAYS},
        "videos": [_values(one) for one in all_videos],
    }


def _values(one: VideoStability) -> dict[str, Any]:
    return {
        "name": printable(one.name),
        "frames": len(one.times) + 1,
        "still_steps": one.still_steps,
        "discarded": mean_discarded([one]),
        **{
            json_key(way): {
                **one.figures(way).to_json(),
                "over_time": [
                    {"time": time, "discarded": share, **Stability.of([step]).to_json()}
                    for time, share, step in zip(one.times, one.discarded, one.steps[way], strict=True)
                ],
            }
            for way in WAYS
        },
    }


def mean_discarded(videos: Iterable[VideoStability]) -> float | None:
    """The mean share of pixels at which the flow was discarded, None where no step needed it."""
    shares = [share for one in videos for share in one.discarded if share is not None]
    return float(np.mean(shares)) if shares else None
