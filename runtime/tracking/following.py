"""Tracking behind a detector whose weak detections are not shown."""

from __future__ import annotations

from yolact.runtime.detections import Detections
from yolact.runtime.tracking.smoothing import Smoother
from yolact.runtime.tracking.tracker import Tracker, TrackerSettings

_LEAST_SHARE = 0.5
"""Of the threshold: so much weaker a detection may be and still keep a track alive."""


class Following:
    """Gives ids to what is shown of one video after the other.

    Attributes:
        least_score: what the detector is asked for, less than what is shown.
    """

    def __init__(self, score_threshold: float, *, smooth: bool = False) -> None:
        """`score_threshold`: what is shown scores above it. `smooth`: as `Smoother` does, before that."""
        self._threshold, self._smooth = score_threshold, smooth
        self._scene: object = None
        self._tracker, self._smoother = self._begin()
        self.least_score = _LEAST_SHARE * score_threshold

    def _begin(self) -> tuple[Tracker, Smoother]:
        return Tracker(TrackerSettings(start_score=min(1.0, max(0.0, self._threshold)))), Smoother()

    def next(self, detections: Detections, scene: object) -> Detections:
        """What is shown of the next frame, with ids. Where `scene` is not what it was, another video begins."""
        if scene != self._scene:
            self._scene = scene
            self._tracker, self._smoother = self._begin()
        tracked = self._tracker.update(detections)
        return (self._smoother.update(tracked) if self._smooth else tracked).select(self._threshold)
