"""The CUDA compiler takes every kernel for every GPU, has registers enough, and makes of the loops what it should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import missing
import pytest
from host_kernel_build import PLUGINS

from benchmarks.gpu.kernels import sass
from yolact.runtime.errors import YolactError

OLDEST = 75
GENERATIONS = (75, 80, 90)
"""GPUs whose instructions CUDA's headers, for half precision, and hence the kernels' PTX differ by."""

FP64_AT_MOST = 4  # for a position in an image, which a block works out once for each row and column

NEVER_IN_A_LOOP = ("integer division", "local memory", "FP64")

AT_MOST = {
    "stage": ("load of 16 B", 20),
    "largestOf": ("shared", 4),
    "bitonicSort": ("shared", 5),
    "suppressKeys": ("shuffle or vote", 60),
    "copyRow": ("store of 16 B", 6),
    "writeZeros": ("store of 16 B", 12),
    "assembleMasks": ("store of 4 B", 120),
    "writeSure": ("store of 1 or 2 B", 9),
    "blendPatch": ("store of 1 or 2 B", 58),
    "makeColumn": ("store of 1 or 2 B", 29),
}
"""For the loops of a function: how many instructions the best of them may take for one of a kind."""


def architectures() -> list[str]:
    """Those of the compiler at hand from `OLDEST` on: 75, 80, ..."""
    if shutil.which("nvcc") is None:
        pytest.skip(missing.CUDA_TOOLKIT)
    told = subprocess.run(["nvcc", "--list-gpu-code"], check=True, capture_output=True, text=True).stdout
    return [arch for arch in re.findall(r"^sm_(\d+)$", told, re.MULTILINE) if int(arch) >= OLDEST]


@pytest.mark.parametrize("source", sorted(PLUGINS.glob("*/*.cu")), ids=lambda path: path.stem)
def test_compiles_for_every_gpu_without_spilling(source: Path, tmp_path: Path) -> None:
    archs = architectures()
    assert {"75", "86", "90", "120"} <= set(archs)
    targets = []
    for first, following in zip(GENERATIONS, [*GENERATIONS[1:], 1000], strict=True):
        codes = ",".join(f"sm_{arch}" for arch in archs if first <= int(arch) < following)
        targets.append(f"-gencode=arch=compute_{first},code=[{codes}]")
    flags = ["-std=c++17", "--fmad=false", "-Werror=all-warnings", "-Xptxas=-v", "--threads=2", "-I", str(PLUGINS)]
    flags += ["-lineinfo", "--keep", "--keep-dir", str(tmp_path)]
    command = ["nvcc", *flags, *targets, "--fatbin", str(source), "-o", str(tmp_path / "kernels.fatbin")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    reports = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert set(reports) == {("0", "0", "0")}
    assert len(reports) % len(archs) == 0 and len(reports) >= len(archs)
    check_loops(tmp_path / f"{source.stem}.compute_90.sm_90.cubin")


def check_loops(cubin: Path) -> None:
    """No loop divides, uses local memory or computes in FP64, and the hot ones are as short as they were once made."""
    try:
        kernels = sass.disassemble(cubin)
    except YolactError:
        pytest.skip(missing.NVDISASM)
    for symbol, instructions in kernels.items():
        assert sass.count(instructions)["FP64"] <= FP64_AT_MOST, symbol
        prices: dict[str, list[float]] = {}
        for loop in sass.loops(instructions):
            counted = sass.count(loop.instructions)
            assert not any(counted[kind] for kind in NEVER_IN_A_LOOP), (symbol, loop.function, counted)
            kind = AT_MOST.get(loop.function, ("", 0))[0]
            prices.setdefault(loop.function, []).append(counted["instructions"] / max(counted[kind], 1e-9))
            if loop.function == "makeColumn":
                assert not counted["load of 1 or 2 B"], "images are read a byte at a time"
            if loop.function == "largestOf" and "If" not in symbol:
                codes = {instruction.code for instruction in loop.instructions}
                assert not any(code.startswith("LDS.U") for code in codes), "logits of 16 bits are read one at a time"
        for function, each in prices.items():
            assert function not in AT_MOST or min(each) <= AT_MOST[function][1], (symbol, function, each)
