"""The cost sheet of the kernels: what it takes for the launches, and how it reads machine code."""

from __future__ import annotations

import ctypes
from pathlib import Path

import fast_nms_calls
import mask_assembly_calls
import numpy as np
import pytest
from kernel_backends import HostBackend

from benchmarks.gpu.kernels import sass, workload
from benchmarks.gpu.kernels.estimate import blocks_at_once, estimate, floor, occupancy
from benchmarks.gpu.kernels.workload import Launch, detector_launches, launches
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.cuda.kernels import DeviceImage, MasksToImageParams, MasksToImageTensors


def test_launches_are_those_of_the_kernels(host_kernels: Path) -> None:
    backend = HostBackend(host_kernels)
    told = (ctypes.c_uint * 50)()
    log = ctypes.CDLL(str(host_kernels)).host_cuda_launches
    log(told, 0)
    sizes = (workload.PRIORS, workload.CLASSES)
    inputs = fast_nms_calls.make_inputs(1, *sizes, seed=0, dtype=np.float16, coefficients=workload.COEFFICIENTS)
    inputs["confidences"][..., 0] = 60  # no candidate: that takes no time
    config = PostprocessConfig()
    assert (config.max_detections, config.top_k) == (workload.DETECTIONS, workload.TOP_K)
    _, passes = fast_nms_calls.run_and_tell(backend, inputs, config)
    assert passes == ["all"]
    grid = (workload.GRID, workload.GRID)
    masks = mask_assembly_calls.make_inputs(1, workload.DETECTIONS, grid, 0, np.float16, workload.COEFFICIENTS)
    masks["num_detections"][:] = 0
    mask_assembly_calls.run(backend, masks)
    height, width = workload.IMAGE
    image, resized = backend.scratch(3 * height * width), backend.scratch(3 * workload.INPUT**2)
    backend.library.resize_pack(DeviceImage(image.address, height, width, 3 * width), workload.INPUT, resized.address)
    nowhere = backend.put(np.zeros((workload.DETECTIONS, 4), np.int32))
    params = MasksToImageParams(workload.DETECTIONS, *grid, height, width, 0)
    backend.library.masks_to_image(params, MasksToImageTensors(0, nowhere.address, 0, 0))
    count = log(told, 10)
    made = np.array(told[: 5 * count]).reshape(count, 5).tolist()
    expected = (*launches(), *detector_launches())
    assert made == [[*launch.grid, launch.threads, launch.shared] for launch in expected]


SASS = """
.text.first:
        /*0000*/                   S2R R0, SR_TID.X ;
.L_x_1:
        /*0010*/                   LDG.E.128.CONSTANT R4, desc[UR4][R2.64] ;
.L_x_0:
        /*0020*/              @!P0 LDS.U16 R3, [R2] ;
        /*0030*/                   I2F.U32.RP R5, R4 ;
        /*0040*/                   I2F.U32 R5, R4 ;
        /*0050*/                   MUFU.RCP R5, R5 ;
        /*0060*/               @P1 BRA `(.L_x_0) ;
        /*0070*/                   LDG.E R4, desc[UR4][R2.64] ;
        /*0080*/                   LDG.E.U8.STRONG.GPU R4, desc[UR4][R2.64] ;
        /*0090*/                   STL.64 [R1], R2 ;
        /*00a0*/                   DADD R2, R2, R4 ;
        /*00b0*/              @!UP0 BRA `(.L_x_1) ;
.L_x_2:
        /*00c0*/                   BRA `(.L_x_2);
.text.second:
        /*0000*/                   EXIT ;
"""


def test_reads_machine_code() -> None:
    code = sass.read(SASS)
    assert [len(instructions) for instructions in code.values()] == [13, 1]
    (loop,) = sass.loops(code["first"])  # the outer one holds another; the last branch goes nowhere
    assert (loop.instructions[0].at, loop.instructions[-1].at) == (0x20, 0x60)
    assert sass.count(loop.instructions) == {"instructions": 5, "shared": 1, "integer division": 1, "MUFU": 1}
    kinds = sass.count(code["first"])
    loads = ("load of 16 B", "load of 8 B", "load of 4 B", "load of 1 or 2 B")
    assert [kinds[kind] for kind in loads] == [1, 0, 1, 1]
    assert (kinds["local memory"], kinds["FP64"], kinds["instructions"]) == (1, 1, 13)


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "capability", "blocks"),
    [
        (256, 32, 0, 90, 8),  # threads
        (256, 32, 0, 89, 6),
        (32, 32, 0, 89, 24),  # blocks
        (128, 72, 0, 90, 7),  # registers: 7 * 4 warps of 72 * 32
        (128, 57, 0, 90, 8),  # in steps of 8 a thread
        (64, 16, 48 << 10, 87, 3),  # shared memory, with 1 kB for each block
    ],
)
def test_blocks_of_a_multiprocessor(threads: int, registers: int, shared: int, capability: int, blocks: int) -> None:
    launch = Launch("k", (1, 1, 1), threads, shared, 0, waits=0, barriers=0)
    assert blocks_at_once(launch, registers, 0, capability) == blocks
    assert occupancy(launch, registers, 0, capability) == blocks * threads / (2048 if capability == 90 else 1536)


def test_an_estimate_is_never_below_the_floor() -> None:
    """Nor is it for a kernel that does nothing but move bytes, or waits, or computes."""
    code = sass.read(SASS)["second"]
    row = {"registers": 32, "static_shared_bytes": 0}
    moving = Launch("k", (64, 1, 1), 256, 0, 48_000_000, waits=1, barriers=0)
    assert floor(moving, 2) == pytest.approx(20e-6)
    assert estimate(moving, code, row, 2) == pytest.approx(20e-6 / 0.85)
    waiting = Launch("k", (1, 1, 1), 256, 0, 1, waits=3, barriers=2)
    assert estimate(waiting, code, row, 1) == pytest.approx((3 * 600 + 2 * 40 + 5) / 1.83e9)
    missing = Launch("k", (1, 1, 1), 32, 0, 1, waits=1, barriers=0, loops={"gone": ("shared", 1)})
    with pytest.raises(ValueError, match="a loop in gone"):
        estimate(missing, code, row, 1)
