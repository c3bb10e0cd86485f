"""Counters of a model for Prometheus, beside those that Triton has for every model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from yolact.runtime.errors import YolactError
from yolact.serving.answering import Answer, Question

COUNTERS = {
    "yolact_images_total": "Images that were answered with detections",
    "yolact_detections_total": "Detections in these images",
    "yolact_refused_requests_total": "Requests that were answered with an error",
    "yolact_batches_total": "Batches, of one request or more",
    "yolact_busy_seconds_total": "Time from images in memory to encoded masks",
}


class Metrics:
    """The counters of one instance; those of several instances are one metric with one label."""

    def __init__(self, pb_utils: Any, model: str, version: str) -> None:
        """`pb_utils`: the module that Triton's python backend brings."""
        labels = {"model": model, "version": version}
        self._families = [  # a counter goes with its family
            pb_utils.MetricFamily(name=name, description=text, kind=pb_utils.MetricFamily.COUNTER)
            for name, text in COUNTERS.items()
        ]
        metrics = [family.Metric(labels=labels) for family in self._families]
        self._images, self._detections, self._refused, self._batches, self._busy = metrics

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Count the time of a batch."""
        start = time.perf_counter()
        yield
        self._busy.increment(time.perf_counter() - start)

    def count(self, questions: Sequence[Question | YolactError], answers: Sequence[Answer]) -> None:
        """Count the answers to a batch."""
        answered = [one for one in answers if not isinstance(one, YolactError)]
        counts = [one["num_detections"] for one in answered]
        self._batches.increment(1)
        self._images.increment(sum(map(len, counts)))
        self._detections.increment(sum(int(one.sum()) for one in counts))
        self._refused.increment(len(questions) - len(answered))
