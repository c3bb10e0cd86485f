"""Builds the CUDA kernels, and what calls them, for this CPU: see `host_kernels/`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import missing
import pytest
from repository import ROOT

PLUGINS = ROOT / "plugins"
HOST_KERNELS = Path(__file__).parent / "host_kernels"
HOST_CUDA = HOST_KERNELS / "host_cuda.cpp"
FLAGS = (
    *("-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"),
    "-Wno-unknown-pragmas",  # unrolling
    "-ffp-contract=off",  # as --fmad=false
    "-U_FORTIFY_SOURCE",  # it takes fibres' longjmp for stack corruption
    "-fsanitize=undefined",  # alignment of vector loads, overflow, shifts
    "-fno-sanitize-recover=all",
)


def cuda_include() -> Path:
    """The headers of the CUDA toolkit; the test that asks is skipped where there are none."""
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), nvcc and Path(nvcc).resolve().parents[1], "/usr/local/cuda"]
    for home in filter(None, homes):
        if (Path(home) / "include" / "cuda_fp16.h").is_file():
            return Path(home) / "include"
    pytest.skip(missing.CUDA_TOOLKIT)


def build_host_kernels(library: Path) -> Path:
    """Compile all kernels and their checks into a library for the CPU."""
    checks = [PLUGINS / "common" / "cuda_error.cpp", *sorted(PLUGINS.glob("*/*_check.cpp"))]
    return build_host_library(library, [HOST_CUDA, *checks, *sorted(PLUGINS.glob("*/*.cu"))])


def build_host_library(library: Path, sources: Sequence[Path], options: Sequence[str | Path] = ()) -> Path:
    """Compile C++ and CUDA sources into a library for the CPU."""
    if shutil.which("g++") is None:
        pytest.skip(missing.program("g++"))
    include = ["-I", HOST_KERNELS, "-I", PLUGINS, "-isystem", cuda_include()]
    command = ["g++", *FLAGS, *include, "-x", "c++", *sources, "-x", "none", *options, "-o", library]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    return library
