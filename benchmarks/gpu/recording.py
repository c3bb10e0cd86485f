"""Work recorded in a CUDA graph. Not yet run on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UPS = 3
"""Runs before a recording: libraries load, and choose what they run, at first use, which a recording does not allow."""


def record(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """The work on the memory it has now; `replay()` puts all of it on the current stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph
