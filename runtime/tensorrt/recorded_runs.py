"""Whole runs as CUDA graphs, from the upload of the images to the copy of the results, for batches that come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from yolact.runtime.cuda.device import Graph
from yolact.runtime.cuda.kernels import DeviceImage

MOST_RECORDED = 8
"""Graphs that a context keeps. Recording one takes the time of several runs, and each takes memory of the GPU."""

_REPEATS = 2
"""Times in a row after which a batch is recorded: images of a video repeat, those of a folder may all differ."""

_REPEATS_IF_FULL = 8
"""The same where another graph would have to be dropped, so that a mixture of many sizes is seldom recorded."""


class Batch(NamedTuple):
    """All that differs between runs, apart from the pixels.

    Attributes:
        images: how many.
        places: where each lies on the GPU, of those that are stretched there.
    """

    images: int
    places: tuple[DeviceImage, ...]


class RecordedRuns:
    """The graphs of a context's latest batches."""

    def __init__(self) -> None:
        self._graphs: dict[Batch, Graph] = {}
        self._last: Batch | None = None
        self._in_a_row = 0

    def find(self, batch: Batch, record: Callable[[], Graph | None]) -> Graph | None:
        """The graph of a batch that runs now; None where there is none, so that the work is put on the stream itself.

        `record` makes it when the batch has come often enough, or returns None where that is not possible.
        """
        self._in_a_row = self._in_a_row + 1 if batch == self._last else 1
        self._last = batch
        graph = self._graphs.pop(batch, None) or self._record(record)
        if graph is not None:
            self._graphs[batch] = graph  # as the last one used
        return graph

    def _record(self, record: Callable[[], Graph | None]) -> Graph | None:
        full = len(self._graphs) == MOST_RECORDED
        graph = record() if self._in_a_row >= (_REPEATS_IF_FULL if full else _REPEATS) else None
        if graph is not None and full:
            self._graphs.pop(next(iter(self._graphs))).close()
        return graph

    def forget(self, count: int | None = None) -> None:
        """Free the graphs of batches of so many images, or all, before their memory is freed. None may be running."""
        for batch in [one for one in self._graphs if count in (None, one.images)]:
            self._graphs.pop(batch).close()
