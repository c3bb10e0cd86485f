"""The work of the kernels at the sizes of YOLACT-550 with ResNet-50 in FP16, for the cost sheet.

Launches follow from the sizes; a test compares them with those that the C functions make. The number of executions of
code depends on the image as well: the numbers here are for a photo with 400 candidates.
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

IMAGE, INPUT = (720, 1280), 550
REGION = (240, 384)  # of each detection: a tenth of the image
_RESIZE_GRID = (-(-INPUT // 64), -(-INPUT // 16), 1)
_TILES = DETECTIONS * -(-REGION[0] // 32)
_TILE_WARPS = 4 * _TILES
_BANDS = 7  # rows of a mask that a tile's rows lie between, and so many rows lie between two of them:
_BAND_ROWS = 5
_PATCHES = REGION[1] // 8 * _BANDS  # of a tile
_PATCH_WARPS = -(-_PATCHES // 32) * _TILES
_UNSURE_WARPS = -(-_PATCHES // 8 // 32) * _TILES  # an ellipse's outline touches an eighth of the patches


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
        at_work: blocks that do not end at once, where that is not all of them.
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
    at_work: int | None = None

    @property
    def blocks(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def warps(self) -> int:
        return self.blocks * self.threads // 32


def launches() -> tuple[Launch, ...]:
    """The launches of the plugins in their order; a memset of the images' states comes before."""
    return _find_candidates(), _suppress(), _suppress_the_rest(), _keep_best(), _assemble_masks()


def detector_launches() -> tuple[Launch, ...]:
    """The further launches of a detector on a plan, for an image of 720p: before the engine and after it."""
    return _resize_pack(), _masks_to_image()


def copied_bytes() -> tuple[int, int]:
    """Bytes copied for an image of 720p: the image to the GPU; boxes, scores, classes and bits of masks to the host."""
    height, width = IMAGE
    found = DETECTIONS * (BOX + FLOAT + 2 * FLOAT + REGION[0] * REGION[1] // 8)
    return height * width * 3, found


def fused_mask_bytes() -> int:
    """Bytes that a kernel from prototypes and coefficients to an image's bits would have to move, for one image."""
    bits = REGION[0] * REGION[1] // 8
    return COEFFICIENTS * CELLS * HALF + DETECTIONS * (COEFFICIENTS * HALF + BOX + bits + BOX + 8)


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


def _resize_pack() -> Launch:
    stores = 3 * 8  # of a thread
    warps = 4 * _RESIZE_GRID[0] * _RESIZE_GRID[1]
    return Launch(
        "resizePackKernel",
        _RESIZE_GRID,
        128,
        0,
        3 * (IMAGE[0] * IMAGE[1] + INPUT**2),
        waits=2,
        barriers=1,
        straight={"windowAt": 0},  # only where words reach beyond the image
        loops={"makeColumn": ("store of 1 or 2 B", stores * warps)},
        critical={"makeColumn": stores},
    )


def _masks_to_image() -> Launch:
    cells = (REGION[0] * GRID // IMAGE[0] + 2) * (REGION[1] * GRID // IMAGE[1] + 2)
    of_tile = (
        "makeStrip",
        "makeTile",
        "partOf",
        "positionOf",
        "cellAt",
        "weightAt",
        "findRows",
        "findColumns",
        "nextPosition",
    )
    of_patch = dict.fromkeys(("sureBits", "writeSure"), _PATCH_WARPS / 2)  # a copy is for regions that are cut off
    return Launch(
        "masksToImageKernel",
        (-(-IMAGE[0] // 32), DETECTIONS, 1),
        128,
        0,
        DETECTIONS * (cells * FLOAT + REGION[0] * REGION[1] // 8 + BOX + 8),
        waits=6,
        barriers=3,
        straight={
            **dict.fromkeys(of_tile, _TILE_WARPS),
            **of_patch,
            "patchOf": (_PATCH_WARPS + _UNSURE_WARPS) / 4,  # so are its divisions
            **dict.fromkeys(("blendPatch", "blendRow"), _UNSURE_WARPS),
        },
        loops={
            "writeSure": ("store of 1 or 2 B", _BAND_ROWS * _PATCH_WARPS),
            "blendPatch": ("store of 1 or 2 B", _BAND_ROWS * _UNSURE_WARPS),
        },
        critical={"writeSure": _BAND_ROWS * -(-_PATCHES // 128), "blendPatch": _BAND_ROWS},
        at_work=_TILES,
    )
