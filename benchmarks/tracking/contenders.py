"""Trackers behind one interface: the product's own, and those of the packages `trackers` and `supervision`."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.tracking.tracker import TrackerSettings, track_all

Track = Callable[[Sequence[Detections]], list[Detections]]

START_SCORE = 0.3
"""Of all that can be told it; the packages' other settings are their defaults, but that a track begins at once."""

_THEIRS = ("SORTTracker", "ByteTrackTracker", "OCSORTTracker", "BoTSORTTracker", "CBIoUTracker")


def contenders() -> dict[str, Track]:
    """What can run here, by name; the packages' trackers are left out where `trackers` is not installed."""
    found: dict[str, Track] = {"yolact": lambda frames: track_all(frames, TrackerSettings(start_score=START_SCORE))}
    try:
        trackers = importlib.import_module("trackers")
    except ImportError:
        return found
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    for name in _THEIRS:
        found[f"trackers.{name}"] = _theirs(getattr(trackers, name))
    return found


def _theirs(kind: Any) -> Track:
    def run(frames: Sequence[Detections]) -> list[Detections]:
        import supervision

        tracker = kind(minimum_consecutive_frames=1)
        tracked = []
        for found in frames:
            rows = {"row": np.arange(len(found))}
            boxes, scores = found.boxes.astype(float), found.scores.copy()
            asked = supervision.Detections(boxes, confidence=scores, class_id=found.class_ids.astype(int), data=rows)
            answer = tracker.update(asked)
            ids = np.full(len(found), -1, np.int64)
            if len(answer):
                ids[answer.data["row"]] = np.where(answer.tracker_id >= 0, answer.tracker_id + 1, -1)
            tracked.append(replace(found, track_ids=ids))
        return tracked

    return run
