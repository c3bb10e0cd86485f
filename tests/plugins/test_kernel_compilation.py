"""The CUDA compiler takes every kernel for every GPU, and has registers enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import missing
import pytest
from host_kernel_build import PLUGINS

OLDEST = 75
GENERATIONS = (75, 80, 90)
"""GPUs whose instructions CUDA's headers, for half precision, and hence the kernels' PTX differ by."""


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
    command = ["nvcc", *flags, *targets, "--fatbin", str(source), "-o", str(tmp_path / "kernels.fatbin")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    reports = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    assert set(reports) == {("0", "0", "0")}
    assert len(reports) % len(archs) == 0 and len(reports) >= len(archs)
