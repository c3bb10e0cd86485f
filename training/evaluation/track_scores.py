"""Scores of tracks: HOTA and IDF1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.tracking.assignment import assign

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""IoU thresholds that HOTA is the mean over."""

_IDENTITY_IOU = 0.5
_SLACK = float(np.finfo(np.float64).eps)
Array = NDArray[np.float64]


class TrackedFrame(NamedTuple):
    """Objects and tracks of one frame.

    Attributes:
        object_ids: (G,) whole numbers, annotated.
        track_ids: (T,) found.
        ious: (G, T) of their masks, 0 where they may not belong together.
    """

    object_ids: NDArray[np.int64]
    track_ids: NDArray[np.int64]
    ious: Array


@dataclass(frozen=True)
class TrackScores:
    """Figures of one video, each from 0 to 1 but for the counts.

    Attributes:
        hota: mean over IoU thresholds of the geometric mean of the next two (Luiten et al. 2021).
        detection: how well objects are found, whatever their ids.
        association: how well found objects keep their ids.
        idf1: share of detections with the right id at IoU 0.5, under the best pairing of ids (Ristani et al. 2016).
        switches: times that an object is found at IoU 0.5 under another id than the last time.
        objects, tracks: how many ids there are.
    """

    hota: float
    detection: float
    association: float
    idf1: float
    switches: int
    objects: int
    tracks: int


def score_tracks(frames: Sequence[TrackedFrame]) -> TrackScores | None:
    """Score a video; None where nothing is annotated. A track's id counts as one identity over all frames."""
    objects, object_rows = _numbered([frame.object_ids for frame in frames])
    tracks, track_rows = _numbered([frame.track_ids for frame in frames])
    if not objects.size:
        return None
    ious = [frame.ious.astype(np.float64) for frame in frames]
    matches, found, switches = _match(ious, object_rows, track_rows, objects, tracks)
    missing, extra = objects.sum() - found, tracks.sum() - found
    detection = found / np.maximum(1, found + missing + extra)
    jaccard = matches / np.maximum(1, objects[:, None] + tracks - matches)
    association = (matches * jaccard).sum(axis=(1, 2)) / np.maximum(1, found)
    return TrackScores(
        hota=float(np.sqrt(detection * association).mean()),
        detection=float(detection.mean()),
        association=float(association.mean()),
        idf1=_idf1(ious, object_rows, track_rows, objects, tracks),
        switches=switches,
        objects=len(objects),
        tracks=len(tracks),
    )


def _numbered(ids: Sequence[NDArray[np.int64]]) -> tuple[Array, list[NDArray[np.intp]]]:
    """In how many frames each different id is, and for each frame the places of its ids in that list."""
    every = np.concatenate([np.zeros(0, np.int64), *ids])
    _, places, counts = np.unique(every, return_inverse=True, return_counts=True)
    return counts.astype(np.float64), np.split(places, np.cumsum([len(frame) for frame in ids])[:-1]) if ids else []


def _match(
    ious: Sequence[Array],
    object_rows: Sequence[NDArray[np.intp]],
    track_rows: Sequence[NDArray[np.intp]],
    objects: Array,
    tracks: Array,
) -> tuple[Array, Array, int]:
    """HOTA's matches of each object with each track (A, G, T) at each threshold, their sums (A,), and the switches.

    A frame is matched once, by IoU and by how well two ids agree over the whole video.
    """
    together = np.zeros((len(objects), len(tracks)))
    for iou, rows, columns in zip(ious, object_rows, track_rows, strict=True):
        rest = iou.sum(axis=0)[None] + iou.sum(axis=1)[:, None] - iou
        together[np.ix_(rows, columns)] += np.divide(iou, rest, out=np.zeros_like(iou), where=rest > _SLACK)
    agreement = together / (objects[:, None] + tracks - together)
    matches = np.zeros((len(ALPHAS), len(objects), len(tracks)))
    last, switches = dict[int, int](), 0
    for iou, rows, columns in zip(ious, object_rows, track_rows, strict=True):
        pairs = assign(agreement[np.ix_(rows, columns)] * iou)
        for row, column in pairs.tolist():
            reached = iou[row, column] >= ALPHAS - _SLACK
            matches[reached, rows[row], columns[column]] += 1
            if iou[row, column] >= _IDENTITY_IOU - _SLACK:
                switches += int(last.get(int(rows[row]), columns[column]) != columns[column])
                last[int(rows[row])] = int(columns[column])
    return matches, matches.sum(axis=(1, 2)), switches


def _idf1(
    ious: Sequence[Array],
    object_rows: Sequence[NDArray[np.intp]],
    track_rows: Sequence[NDArray[np.intp]],
    objects: Array,
    tracks: Array,
) -> float:
    together = np.zeros((len(objects), len(tracks)))
    for iou, rows, columns in zip(ious, object_rows, track_rows, strict=True):
        together[np.ix_(rows, columns)] += iou >= _IDENTITY_IOU - _SLACK
    pairs = assign(together)
    return float(2 * together[pairs[:, 0], pairs[:, 1]].sum() / (objects.sum() + tracks.sum()))
