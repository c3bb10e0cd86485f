"""What the kernels of the plugins do at the sizes of YOLACT-550 with ResNet-50 in FP16, for the cost sheet.

Launches follow from the sizes; a test compares them with those that the C functions make. How often code runs depends
on the image as well: the numbers here are of a photo with 400 candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PRIORS, CLASSES, COEFFICIENTS, DETECTIONS, TOP_K, GRID = 19248, 80, 32, 100, 200, 138
CELLS = GRID * GRID
CANDIDATES = 400
PAIRS = 16 * DETECTIONS  # that the first pass ranks
RANKED = PAIRS // CLASSES  # keys of a list
SURVIVORS = 700
HALF, FLOAT, KEY, BOX, STATISTICS, STATE = 2, 4, 8, 16, 16, 1040  # bytes

_SCORE_BLOCKS = -(-PRIORS // 64)
_SCORE_WARPS = 8 * _SCORE_BLOCKS
_PASSED_WARPS = 120  # those with rows that are no background
_SORT_STEPS = 15  # of 32 keys: 1 + 2 + ... + 5
_BEST_STEPS = 36  # of 256 keys
_MASK_BLOCKS = -(-CELLS // 128)
_MASK_WARPS = 4 * _MASK_BLOCKS  # of 32 detections
_CHUNKS = -(-DETECTIONS // 32)


@dataclass(frozen=True)
class Launch:
    """One launch, for one image unless said otherwise.

    Attributes:
        kernel: its name.
        grid: blocks for a batch of one; its last number is multiplied by the batch.
        threads: of a block.
        shared: dynamic shared memory of a block, bytes.
        bytes: read from and written to memory at least.
        straight: how often warps run a function's code outside loops, over all warps; where not said, once in each.
        loops: for a function's loop a kind of instruction and how many of that kind are executed, over all warps.
        critical: the same for the warp with the most to do; code outside loops counts once for it.
        waits: round trips to global memory that depend on each other.
        barriers: of a block.
        ends_at_once: instructions of a warp, where it ends after reading the state of its image.
    """

    kernel: str
    grid: tuple[int, int, int]
    threads: int
    shared: int
    bytes: int
    waits: int
    barriers: int
    straight: Mapping[str, float] = field(default_factory=dict)
    loops: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    critical: Mapping[str, float] = field(default_factory=dict)
    ends_at_once: int = 0

    @property
    def blocks(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def warps(self) -> int:
        return self.blocks * self.threads // 32


def launches() -> tuple[Launch, ...]:
    """In their order; a memset of the images' states comes before."""
    return _find_candidates(), _suppress(), _suppress_the_rest(), _keep_best(), _assemble_masks()


def _find_candidates() -> Launch:
    scored = dict.fromkeys(("scoreRows", "scoreRow", "sumOfLanes", "countPairs", "decodeBox"), _PASSED_WARPS)
    return Launch(
        "findCandidates",
        (_SCORE_BLOCKS, 1, 1),
        256,
        64 * (CLASSES + 1) * HALF + 16,
        PRIORS * (CLASSES + 1) * HALF + CANDIDATES * (4 * HALF + BOX + BOX + STATISTICS),
        waits=3,
        barriers=4,
        straight=scored,
        loops={
            "stage": ("load of 16 B", 4 * _SCORE_WARPS),
            "largestOf": ("shared", 10 * _SCORE_WARPS),
            "maxOfLanes": ("shuffle or vote", 2 * _SCORE_WARPS),
            "scoreRow": ("shared", 21 * _PASSED_WARPS),
            "sumOfLanes": ("shuffle or vote", 2 * _PASSED_WARPS),
            "countPairs": ("shared", 40 * _PASSED_WARPS),
        },
        critical={
            "stage": 4,
            "largestOf": 10,
            "maxOfLanes": 2,
            "scoreRow": 21,
            "sumOfLanes": 2,
            "countPairs": 40,
        },
    )


def _suppress() -> Launch:
    warps = 8 * CLASSES
    return Launch(
        "suppressWithinLists",
        (CLASSES, 1, 1),
        256,
        512 * KEY + TOP_K * (BOX + FLOAT),
        CANDIDATES * (STATISTICS + (CLASSES + 1) * HALF) + PAIRS * BOX + SURVIVORS * KEY,
        waits=6,
        barriers=8,
        straight={
            **dict.fromkeys(("binOfBest", "keyBelowBin", "leaveSurvivors"), CLASSES),  # the first warp of each block
            "offerCandidates": 2 * warps,
            "offer": 2 * warps,
            "bitonicSort": _SORT_STEPS * CLASSES / 4,
        },
        loops={
            "bitonicSort": ("shared", 4 * _SORT_STEPS * CLASSES),
            "suppressWithinLists": ("load of 16 B", CLASSES),
            "suppressKeys": ("shuffle or vote", RANKED * CLASSES),
            "writeSurvivors": ("shuffle or vote", CLASSES),
        },
        critical={
            "bitonicSort": 4 * _SORT_STEPS,
            "suppressWithinLists": 1,
            "suppressKeys": RANKED / 8 + 1,
            "writeSurvivors": 1,
        },
    )


def _suppress_the_rest() -> Launch:
    first = _suppress()
    return Launch(first.kernel, first.grid, first.threads, first.shared, STATE, waits=2, barriers=0, ends_at_once=30)


def _keep_best() -> Launch:
    return Launch(
        "keepBest",
        (1, 1, 1),
        512,
        1024 * KEY + CLASSES * 2,
        STATE + CLASSES * (FLOAT + KEY) + DETECTIONS * (2 * BOX + 2 * COEFFICIENTS * HALF + 2 * FLOAT),
        waits=7,
        barriers=24,
        straight={"binOfBest": 1, "offer": 8 * 16, "at": 8 * 16, "bitonicSort": _BEST_STEPS * 16 / 4},
        loops={
            "findLists": ("load of 8 B", 3),
            "bitonicSort": ("shared", 4 * 4 * _BEST_STEPS),
            "copyRow": ("load of 16 B", 13),
        },
        critical={"findLists": 1, "bitonicSort": 4 * _BEST_STEPS, "copyRow": 1},
    )


def _assemble_masks() -> Launch:
    hit = 20  # detections whose crop is near a warp's cells, if each takes a tenth of the image
    return Launch(
        "assembleMasks",
        (_MASK_BLOCKS, _CHUNKS, 1),
        128,
        32 * COEFFICIENTS * FLOAT,
        COEFFICIENTS * CELLS * HALF + DETECTIONS * (COEFFICIENTS * HALF + BOX + CELLS * FLOAT),
        waits=4,
        barriers=3,
        loops={
            "hitsOf": ("shuffle or vote", hit * _MASK_WARPS),
            "loadCoefficients": ("load of 1 or 2 B", 8 * _CHUNKS * _MASK_WARPS),
            "writeZeros": ("store of 16 B", DETECTIONS / 4 * _MASK_WARPS),
            "assembleMasks": ("store of 4 B", hit * _MASK_WARPS),
        },
        critical={"hitsOf": 12, "loadCoefficients": 8, "writeZeros": 8, "assembleMasks": 12},
    )
