"""Images a second through a detector's stream, in which batches overlap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from yolact.runtime.bench.photos import Photos
from yolact.runtime.bench.stages import MAKE_MASKS, MaskForm
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image

IN_FLIGHT = 2
"""Batches in flight, as many as by default."""


def measure_stream(
    detector: Detector, photos: Photos, batch: int, duration_s: float, masks: MaskForm, warm_ups: int
) -> dict[str, Any]:
    """Send batches of this size through a stream for so many seconds, at least one after the warm-up.

    The clock runs from the last image of `warm_ups` batches in each place of the stream to the last image of all, so
    that it counts how often images come and not how long the first one takes. Masks are made as `masks` says.
    """
    uncounted = warm_ups * IN_FLIGHT * batch

    def files() -> Iterator[Callable[[], Image]]:
        """Functions that decode, which the stream calls ahead in other threads."""
        for _ in range(warm_ups * IN_FLIGHT):
            yield from (file.decode for file in photos.take(batch))
        end = time.perf_counter() + duration_s
        while True:
            yield from (file.decode for file in photos.take(batch))
            if time.perf_counter() >= end:
                return

    count, start = 0, time.perf_counter()
    with detector.stream(files(), IN_FLIGHT, batch_size=batch) as found:
        for one in found:
            MAKE_MASKS[masks](one)
            count += 1
            if count == uncounted:
                start = time.perf_counter()
    seconds = time.perf_counter() - start
    return {
        "in_flight": IN_FLIGHT,
        "images": count - uncounted,
        "images_per_s": (count - uncounted) / seconds,
    }
