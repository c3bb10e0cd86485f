"""The figures beside the pictures of a run: its speed, and the number of detections by class."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.video.frames import Frame
from yolact.runtime.wording import count_noun

_MOST = 10_000  # latencies that are kept
_RATE_SECONDS = 3.0  # over which the rate is measured


@dataclass(frozen=True)
class Figures:
    """Figures of one frame that was drawn, and of the frames of its video before it.

    Attributes:
        source: name of the video.
        frame: its number.
        time: when it is shown, in seconds from the beginning of the video.
        fps: frames a second that were drawn lately.
        latency: milliseconds from its arrival until it was drawn.
        median, percentile: the 50th and 99th percentile of the latencies.
        dropped: frames left out, as a newer one was there.
        counts: detections by class, most frequent first.
    """

    source: str
    frame: int
    time: float
    fps: float
    latency: float
    median: float
    percentile: float
    dropped: int
    counts: Mapping[str, int]


class Meter:
    """Measures the frames of one video as they are drawn."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._latencies = deque[float](maxlen=_MOST)
        self._drawn = deque[float]()
        self._count = 0

    def measure(self, frame: Frame, detections: Detections, dropped: int) -> Figures:
        """A frame was drawn right now; `dropped` of its video were left out so far."""
        now = time.monotonic()
        self._count += 1
        self._latencies.append(1000 * (now - frame.arrival))
        self._drawn.append(now)
        while len(self._drawn) > 2 and now - self._drawn[0] > _RATE_SECONDS:
            self._drawn.popleft()
        passed = now - self._drawn[0]
        median, percentile = np.percentile(self._latencies, (50, 99)).tolist()
        return Figures(
            self._source,
            frame.index,
            frame.time,
            (len(self._drawn) - 1) / passed if passed > 0 else 0.0,
            self._latencies[-1],
            median,
            percentile,
            dropped,
            dict(Counter(detections.class_names).most_common()),
        )

    def summarise(self, figures: Figures) -> str:
        """A line that sums up the video."""
        frames, dropped = count_noun(self._count, "frame"), count_noun(figures.dropped, "frame")
        return (
            f"{self._source}: {figures.median:.0f} ms from the arrival of a frame until it was drawn "
            f"(median of {frames}, 99th percentile {figures.percentile:.0f} ms); {dropped} dropped"
        )
