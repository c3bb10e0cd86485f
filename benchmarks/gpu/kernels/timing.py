"""Timing of work on a CUDA GPU: events around replays of CUDA graphs, over memory that is not in the cache.

A graph holds one run on each of many copies of the inputs and outputs, three times the L2 cache in all, so that each
run finds its inputs in memory; one replay divided by the number of copies is a sample. Work that cannot be recorded in
a graph is timed call by call, waiting included. Not yet run on a GPU.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from statistics import median

import torch

from benchmarks.gpu.nvidia_smi import ask_nvidia_smi
from benchmarks.gpu.recording import record

Work = Callable[[], object]

WARM_UPS = 5
GRAPH_SAMPLES = 200
PLAIN_SAMPLES = 40
PROFILE_SAMPLES = 100
MOST_COPIES = 64
COPY_BYTES = 2 << 30


class GpuTimer:
    """Microseconds of work on the current GPU."""

    def copies(self, size: int) -> int:
        """The number of copies that take turns if one run moves `size` bytes."""
        cache = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        return min(max(2, math.ceil(3 * cache / max(size, 1))), MOST_COPIES)

    def graph(self, works: Sequence[Work], samples: int = GRAPH_SAMPLES) -> float:
        """The median of one work, recorded in a graph. `works` are the same work on different memory."""
        graph = record(lambda: [work() for work in works])
        return self._median(lambda _: graph.replay(), samples) / len(works)

    def plain(self, works: Sequence[Work], samples: int = PLAIN_SAMPLES) -> float:
        """The median of one work, called directly, if it cannot be recorded."""
        return self._median(lambda sample: works[sample % len(works)](), samples)

    def stages(self, works: Sequence[Work]) -> dict[str, float]:
        """The medians of the kernels that one work runs, by name, without the gaps between them.

        Empty where PyTorch has no profiler of GPUs.
        """
        rounds = max(1, PROFILE_SAMPLES // len(works))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            for _ in range(rounds):
                for work in works:
                    work()
            torch.cuda.synchronize()
        durations: dict[str, list[float]] = {}
        for event in profile.events() or ():
            if event.device_type == torch.autograd.DeviceType.CUDA:
                durations.setdefault(short_name(event.name), []).append(event.time_range.elapsed_us())
        return {name: median(values) for name, values in durations.items()}

    def bandwidth(self) -> float:
        """The bytes a second that a large copy inside the GPU's memory reads and writes, together."""
        source = torch.ones(COPY_BYTES, dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        return 2 * COPY_BYTES / (self._median(lambda _: target.copy_(source), PLAIN_SAMPLES) * 1e-6)

    def _median(self, work: Callable[[int], object], samples: int) -> float:
        for sample in range(WARM_UPS):
            work(sample)
        pairs = []
        for sample in range(samples):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work(sample)
            end.record()
            pairs.append((start, end))
        torch.cuda.synchronize()
        return median(start.elapsed_time(end) for start, end in pairs) * 1e3


def short_name(kernel: str) -> str:
    """The function's name in what the profiler calls a kernel: `void a::(anonymous namespace)::f<T>(...)` is f."""
    found = re.search(r"(\w+)[<(]", kernel)
    return found.group(1) if found else kernel


def describe_gpu() -> dict[str, str]:
    """The GPU and the versions, to be read with the figures."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    told = ask_nvidia_smi("driver_version")
    return {
        "gpu": f"{properties.name}, {properties.multi_processor_count} multiprocessors, "
        f"{properties.L2_cache_size / 1e6:.0f} MB L2, {properties.total_memory / 1e9:.0f} GB",
        "driver": told.get("driver_version", f"unknown: {told.get('missing')}"),
        "cuda": str(torch.version.cuda),
        "torch": torch.__version__,
    }
