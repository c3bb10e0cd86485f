"""What is annotated in a frame beside what is found in it."""

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
        ignored: (G,) bool, whether nobody is asked to find it.
    """

    masks: Sequence[NDArray[np.uint8]]
    class_ids: NDArray[np.int64] | None
    ids: NDArray[np.int64]
    ignored: NDArray[np.bool_]


def pair_frame(objects: Annotated, found: Detections) -> TrackedFrame:
    """The objects that count and the detections with ids that do, with the IoU of their masks.

    A detection of another class than an object has IoU 0 with it. One that has IoU 0.5 with an object nobody is asked
    to find, and with none that counts, is neither right nor wrong.

    Raises ValueError where the detections have no track ids.
    """
    if found.track_ids is None:
        raise ValueError("the detections have no track_ids; Tracker.update gives them")
    size = found.image_size
    known = [Shape.of(Region(0, 0, *size), mask.astype(np.bool_)) for mask in objects.masks]
    ious = mask_ious(known, [Shape.of(region, mask) for region, mask in found.iter_masks()]).astype(np.float64)
    if objects.class_ids is not None:
        ious[objects.class_ids[:, None] != found.class_ids] = 0
    best_ignored = ious[objects.ignored].max(axis=0, initial=0)
    best = ious[~objects.ignored].max(axis=0, initial=0)
    counts = (found.track_ids > 0) & ~((best_ignored >= _IGNORED_IOU) & (best < _IGNORED_IOU))
    return TrackedFrame(objects.ids[~objects.ignored], found.track_ids[counts], ious[~objects.ignored][:, counts])
