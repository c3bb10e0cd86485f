"""Gives instances ids that hold from frame to frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD
from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import FloatArray
from yolact.runtime.tracking.assignment import assign
from yolact.runtime.tracking.shape import Shape
from yolact.runtime.tracking.track import Track, centre

_INSIDE = 0.5
"""Share of a mask that must lie where a lost object is expected, for the mask to be a part of it that reappears."""

_OTHER_CLASS = 0.5
"""Factor of the overlap with a detection of another class: the same object may change its class, but seldom does."""


@dataclass(frozen=True)
class TrackerSettings:
    """Settings of tracking.

    Attributes:
        start_score: score from which a detection starts a track; one below it may only go on with a track.
        min_overlap: IoU of masks, above 0, from which a detection may be an object that was seen before.
        max_lost: frames after which an object that is not seen any more is given up.
        trail: centres kept of each track.

    Raises ValueError where a number is out of its range, TypeError where one is no number.
    """

    start_score: float = DISPLAY_SCORE_THRESHOLD
    min_overlap: float = 0.05
    max_lost: int = 30
    trail: int = 30

    def __post_init__(self) -> None:
        for name, low in (("start_score", 0.0), ("min_overlap", 1e-6)):
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, got {value!r}")
            if not low <= float(value) <= 1:
                raise ValueError(f"{name} must be from {low:g} to 1, got {value}")
        for name, least in (("max_lost", 0), ("trail", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool):
                raise TypeError(f"{name} must be a whole number, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")


class Tracker:
    """Follows the instances of one video by the overlap of their masks.

    Each track expects its last mask where its speed has carried it. Detections are assigned to tracks so that the sum
    of the masks' IoU is the largest, first those from `start_score` on, then the others to tracks that were seen in
    the frame before, as ByteTrack does with boxes (Zhang et al. 2022).
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._tracks: list[Track] = []
        self._last_id = 0
        self._size: tuple[int, int] | None = None

    def update(self, detections: Detections) -> Detections:
        """The detections of the next frame, in the same order, with `track_ids` and `trails`.

        An id is from 1, and -1 for a detection that scores below `start_score` and belongs to no track. A frame of
        another size is another scene: all tracks end there.

        Raises TypeError where these are no Detections of one image.
        """
        if not isinstance(detections, Detections):
            raise TypeError(f"expected the Detections of one frame, got {type(detections).__name__}")
        if detections.image_size != self._size:
            self._size, self._tracks = detections.image_size, []
        for track in self._tracks:
            track.age += 1
        owners = self._follow(detections)
        self._tracks = [track for track in self._tracks if track.age <= self._settings.max_lost]
        nobody = np.zeros((0, 2), np.float32)
        return replace(
            detections,
            track_ids=np.array([-1 if owner is None else owner.id for owner in owners], np.int64),
            trails=tuple(nobody if owner is None else np.array(owner.trail, np.float32) for owner in owners),
        )

    def _follow(self, detections: Detections) -> list[Track | None]:
        """The track of each detection, those included that start here."""
        shapes = [Shape.of(region, mask) for region, mask in detections.iter_masks()]
        owners: list[Track | None] = [None] * len(shapes)
        good = detections.ranking_scores >= self._settings.start_score
        seen_last = {track.id for track in self._tracks if track.age == 1}
        matching = _Matching(detections, shapes, owners)
        least = self._settings.min_overlap
        matching.match(self._tracks, good, Track.overlaps, least)
        matching.match([track for track in self._tracks if track.id in seen_last], ~good, Track.overlaps, least)
        matching.match(
            [track for track in self._tracks if track.id not in seen_last], good, Track.shares_inside, _INSIDE
        )
        for index in np.flatnonzero(good).tolist():
            if owners[index] is None and shapes[index].area:
                owners[index] = self._start(int(detections.class_ids[index]), detections.boxes[index], shapes[index])
        return owners

    def _start(self, class_id: int, box: NDArray[np.float32], shape: Shape) -> Track:
        self._last_id += 1
        track = Track(self._last_id, class_id, box, shape, shape, deque([centre(box)], self._settings.trail))
        self._tracks.append(track)
        return track


class _Matching(NamedTuple):
    """The detections of a frame, and to which tracks they have been given so far."""

    detections: Detections
    shapes: Sequence[Shape]
    owners: list[Track | None]

    def match(
        self,
        tracks: Sequence[Track],
        wanted: NDArray[np.bool_],
        similarity: Callable[[Track, Sequence[Shape]], FloatArray],
        least: float,
    ) -> None:
        """Give tracks that have not been seen in this frame the detections among these that are still free."""
        tracks = [track for track in tracks if track.age]
        indices = [index for index in np.flatnonzero(wanted).tolist() if self.owners[index] is None]
        if not tracks or not indices:
            return
        shapes, classes = [self.shapes[index] for index in indices], self.detections.class_ids
        overlaps = np.stack([similarity(track, shapes) for track in tracks])
        overlaps[overlaps < least] = 0
        overlaps[np.array([track.class_id for track in tracks])[:, None] != classes[indices]] *= _OTHER_CLASS
        for row, column in assign(overlaps).tolist():
            index = indices[column]
            tracks[row].see(int(classes[index]), self.detections.boxes[index], self.shapes[index])
            self.owners[index] = tracks[row]


def track_all(frames: Iterable[Detections], settings: TrackerSettings | None = None) -> list[Detections]:
    """The detections of all frames of a video, with `track_ids`; see `Tracker.update`."""
    tracker = Tracker(settings)
    return [tracker.update(found) for found in frames]
