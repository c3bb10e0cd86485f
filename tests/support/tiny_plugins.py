"""A stand-in for the CUDA toolkit and the plugins' sources, so that building them is tested in seconds and anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from yolact.plugins.build import Tools

CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.18)
set(CMAKE_CXX_COMPILER_ID GNU)  # CMake need not find out, by compiling, what the compiler is and can
foreach(known COMPILER_ID_RUN COMPILER_FORCED COMPILER_WORKS ABI_COMPILED)
  set(CMAKE_CXX_${known} TRUE)
endforeach()
project(tiny LANGUAGES CXX)
string(REPLACE ";" " " archs "${CMAKE_CUDA_ARCHITECTURES}")
file(WRITE ${CMAKE_BINARY_DIR}/library.cpp "extern const char text[] = \\"archs: ${archs}.\\";")
foreach(target yolact_kernels yolact_plugins yolact_plugins_registered tensorrt_rtx)
  add_library(${target} SHARED ${CMAKE_BINARY_DIR}/library.cpp)
endforeach()
install(TARGETS yolact_kernels yolact_plugins yolact_plugins_registered LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tensorrt_rtx LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/rtx)
"""

DOES_NOT_COMPILE = CMAKE_LISTS.replace("extern const", "extern konst")

SLOW = 'add_custom_target(slow ALL COMMAND sh -c "echo $$ > $ENV{MARK} && exec sleep 600" VERBATIM)'
NEVER_DONE = CMAKE_LISTS + SLOW


def write_sources(folder: Path, text: str = CMAKE_LISTS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "CMakeLists.txt").write_text(text)
    return folder


def write_toolkit(folder: Path) -> Path:
    """A CUDA_HOME whose nvcc can do nothing but list what it knows."""
    (folder / "bin").mkdir(parents=True)
    nvcc = folder / "bin" / "nvcc"
    nvcc.write_text("#!/bin/sh\necho sm_75\necho sm_86\necho sm_90\necho compute_90\n")
    nvcc.chmod(0o755)
    return folder


def tiny_tools() -> Tools:
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which("c++") is None:
        pytest.skip("cmake or a C++ compiler is not installed -- apt-get install cmake g++")
    return Tools(Path("nvcc"), Path(cmake), ("sm_75", "sm_86", "sm_90"))
