"""Tracking behind a detector whose weak detections are not shown."""

from __future__ import annotations

from yolact.runtime.detections import Detections
from yolact.runtime.tracking.tracker import Tracker, TrackerSettings

_LEAST_SHARE = 0.5
"""Of the threshold: so much weaker a detection may be and still keep a track alive."""


class Following:
    """Gives ids to what is shown of one video after the other.

    Attributes:
        least_score: what the detector is asked for, less than what is shown.
    """

    def __init__(self, score_threshold: float) -> None:
        """`score_threshold`: what is shown scores above it."""
        self._threshold = score_threshold
        self._scene: object = None
        self._tracker = self._begin()
        self.least_score = _LEAST_SHARE * score_threshold

    def _begin(self) -> Tracker:
        return Tracker(TrackerSettings(start_score=min(1.0, max(0.0, self._threshold))))

    def next(self, detections: Detections, scene: object) -> Detections:
        """What is shown of the next frame, with ids. Where `scene` is not what it was, another video begins."""
        if scene != self._scene:
            self._scene, self._tracker = scene, self._begin()
        return self._tracker.update(detections).select(self._threshold)
