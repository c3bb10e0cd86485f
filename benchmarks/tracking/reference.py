"""The same figures by TrackEval, where it is installed. It is no dependency: it brings a second OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yolact.training.evaluation.track_scores import TrackedFrame


def by_trackeval(frames: Sequence[TrackedFrame]) -> tuple[float, float] | None:
    """HOTA and IDF1 of a video; None without the package."""
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError:
        return None
    _, objects = np.unique(np.concatenate([frame.object_ids for frame in frames]), return_inverse=True)
    _, tracks = np.unique(np.concatenate([frame.track_ids for frame in frames]), return_inverse=True)
    data: dict[str, Any] = {
        "num_gt_dets": len(objects),
        "num_tracker_dets": len(tracks),
        "num_gt_ids": objects.max(initial=-1) + 1,
        "num_tracker_ids": tracks.max(initial=-1) + 1,
        "gt_ids": np.split(objects, np.cumsum([len(frame.object_ids) for frame in frames])[:-1]),
        "tracker_ids": np.split(tracks, np.cumsum([len(frame.track_ids) for frame in frames])[:-1]),
        "similarity_scores": [frame.ious.astype(float) for frame in frames],
    }
    hota = HOTA().eval_sequence(data)["HOTA"].mean()
    return float(hota), float(Identity({"PRINT_CONFIG": False}).eval_sequence(data)["IDF1"])
