"""How long the kernels may take on an H200, from their machine code: a model, no measurement.

A launch takes the longest of three times: the time to move its bytes at 85 % of the memory's speed; the time to issue
its instructions at 65 % of the rate of the multiprocessors with blocks; and the time of one block from its first to its
last instruction, times how often the GPU is filled with blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.gpu.kernels.sass import Instruction, count, loops
from benchmarks.gpu.kernels.workload import Launch

MULTIPROCESSORS, CLOCK, MEMORY = 132, 1.83e9, 4.8e12  # of an H200: Hz, bytes a second
ORIN_MEMORY = 204.8e9  # of a Jetson AGX Orin
ISSUE = 4 * 0.65  # instructions a multiprocessor and clock
ROUND_TRIP, BARRIER, DEPENDENT = 600, 40, 5  # clocks: of global memory, of a barrier, of an instruction of one warp
BUS = 50e9  # bytes a second each way, of the 63 GB/s of PCIe 5.0 with 16 lanes
CALL = 10e-6  # seconds from the host's call to a copy or kernel that is at work, and from its end to a host that waited
GAP = 1e-6  # seconds between launches in a CUDA graph

# By compute capability: threads, blocks and shared memory of a multiprocessor. Each has 65,536 registers.
_LIMITS = {87: (1536, 16, 164 << 10), 89: (1536, 24, 100 << 10), 90: (2048, 32, 228 << 10)}
_RESERVED_SHARED = 1 << 10  # of each block


def blocks_at_once(launch: Launch, registers: int, static_shared: int, capability: int) -> int:
    """The number of blocks of a launch that a multiprocessor holds."""
    threads, blocks, shared = _LIMITS[capability]
    registers_of_warp = -(-registers * 32 // 256) * 256
    of_block = -(-(launch.shared + static_shared) // 128) * 128 + _RESERVED_SHARED
    by_registers = 65536 // (registers_of_warp * launch.threads // 32)
    return min(blocks, threads // launch.threads, by_registers, shared // of_block)


def occupancy(launch: Launch, registers: int, static_shared: int, capability: int) -> float:
    """The share of a multiprocessor's threads that a launch with enough blocks fills."""
    held = blocks_at_once(launch, registers, static_shared, capability)
    return held * launch.threads / _LIMITS[capability][0]


def floor(launch: Launch, batch: int) -> float:
    """Seconds to move the bytes of a launch at the memory's full speed."""
    return launch.bytes * batch / MEMORY


def estimate(launch: Launch, code: Sequence[Instruction], row: dict[str, Any], batch: int) -> float:
    """Seconds of a launch, without the gap before it."""
    total, critical = (
        (launch.ends_at_once * n for n in (launch.warps, 1)) if launch.ends_at_once else _work(launch, code)
    )
    blocks = launch.blocks * batch
    issue = total * batch / (min(MULTIPROCESSORS, blocks) * ISSUE * CLOCK)
    way = (launch.waits * ROUND_TRIP + launch.barriers * BARRIER + critical * DEPENDENT) / CLOCK
    held = blocks_at_once(launch, row["registers"], row["static_shared_bytes"], 90) * MULTIPROCESSORS
    at_work = blocks if launch.at_work is None else launch.at_work * batch
    return max(floor(launch, batch) / 0.85, issue, way * max(1.0, at_work / held))


def _work(launch: Launch, code: Sequence[Instruction]) -> tuple[float, float]:
    """Instructions that all warps execute, and those of the warp with the most to do."""
    found = loops(code)
    inside = {i.at for loop in found for i in loop.instructions}
    straight = Counter(i.function for i in code if i.at not in inside)
    total = sum(number * launch.straight.get(function, launch.warps) for function, number in straight.items())
    critical = float(sum(straight.values()))
    for function, (kind, units) in launch.loops.items():
        prices = []
        for loop in (one for one in found if one.function == function):
            counted = count(loop.instructions)
            if counted[kind]:
                prices.append(counted["instructions"] / counted[kind])
        if not prices:
            raise ValueError(f"expected a loop in {function} with an instruction of kind {kind}, found none")
        total += min(prices) * units
        critical += min(prices) * launch.critical.get(function, 0)
    return total, critical
