"""Recording of work in a CUDA graph. Not yet run on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UPS = 3
"""Runs before a recording. At first use libraries load and choose kernels, which a recording does not allow."""


def record(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """The graph of the work on the memory that it uses now; `replay()` launches it on the current stream."""
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
