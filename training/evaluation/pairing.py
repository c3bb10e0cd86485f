"""Pairs the annotated objects of a frame with its detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.runtime.images.geometry import Region
from yolact.runtime.tracking.shape import Shape, mask_ious
from yolact.training.evaluation.track_scores import TrackedFrame

_IGNORED_IOU = 0.5


class Annotated(NamedTuple):
    """The objects of a frame.

    Attributes:
        masks: (H, W) each, 0 or 1.
        class_ids: (G,) as the detections have them; None where classes do not count.
        ids: (G,) the same for an object in all frames.
        ignored: (G,) bool, whether it need not be found.
    """

    masks: Sequence[NDArray[np.uint8]]
    class_ids: NDArray[np.int64] | None
    ids: NDArray[np.int64]
    ignored: NDArray[np.bool_]


class Paired(NamedTuple):
    """The objects and detections that count in a frame.

    Attributes:
        objects: (G,) indices of the objects that count.
        found: (T,) indices of the detections that do.
        ious: (G, T) of their masks, 0 where the classes differ.
    """

    objects: NDArray[np.intp]
    found: NDArray[np.intp]
    ious: NDArray[np.float64]


def pair(objects: Annotated, found: Detections) -> Paired:
    """The objects and detections of a frame that count.

    A detection that has IoU 0.5 with an object that need not be found, and with none that counts, is neither right nor
    wrong.
    """
    size = found.image_size
    known = [Shape.of(Region(0, 0, *size), mask.astype(np.bool_)) for mask in objects.masks]
    ious = mask_ious(known, [Shape.of(region, mask) for region, mask in found.iter_masks()]).astype(np.float64)
    if objects.class_ids is not None:
        ious[objects.class_ids[:, None] != found.class_ids] = 0
    best_ignored = ious[objects.ignored].max(axis=0, initial=0)
    best = ious[~objects.ignored].max(axis=0, initial=0)
    counts = ~((best_ignored >= _IGNORED_IOU) & (best < _IGNORED_IOU))
    rows, columns = np.flatnonzero(~objects.ignored), np.flatnonzero(counts)
    return Paired(rows, columns, ious[np.ix_(rows, columns)])


def pair_frame(objects: Annotated, found: Detections) -> TrackedFrame:
    """The objects that count and the detections with ids that do; see `pair`.

    Raises ValueError where the detections have no track ids.
    """
    if found.track_ids is None:
        raise ValueError("the detections have no track_ids; Tracker.update gives them")
    paired = pair(objects, found)
    ids = found.track_ids[paired.found]
    return TrackedFrame(objects.ids[paired.objects], ids[ids > 0], paired.ious[:, ids > 0])
