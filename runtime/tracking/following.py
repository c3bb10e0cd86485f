"""Tracking behind a detector whose weak detections are not shown."""

from __future__ import annotations

from yolact.runtime.detections import Detections
from yolact.runtime.tracking.smoothing import Smoother
from yolact.runtime.tracking.tracker import Tracker, TrackerSettings

_LEAST_SHARE = 0.5
"""Share of the threshold above which a detection still keeps a track alive."""


class Following:
    """Gives ids to the shown detections of one video after the other.

    Attributes:
        least_score: the detector's threshold, below that of the shown detections.
    """

    def __init__(self, score_threshold: float, *, smooth: bool = False) -> None:
        """`score_threshold`: shown detections score above it. `smooth`: whether a `Smoother` averages them first."""
        self._threshold, self._smooth = score_threshold, smooth
        self._scene: object = None
        self._tracker, self._smoother = self._begin()
        self.least_score = _LEAST_SHARE * score_threshold

    def _begin(self) -> tuple[Tracker, Smoother]:
        return Tracker(TrackerSettings(start_score=min(1.0, max(0.0, self._threshold)))), Smoother()

    def next(self, detections: Detections, scene: object) -> Detections:
        """The shown detections of the next frame, with ids. Where `scene` differs from before, another video begins."""
        if scene != self._scene:
            self._scene = scene
            self._tracker, self._smoother = self._begin()
        tracked = self._tracker.update(detections)
        return (self._smoother.update(tracked) if self._smooth else tracked).select(self._threshold)
