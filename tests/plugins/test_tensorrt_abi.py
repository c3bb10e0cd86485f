"""What the plugins declare of TensorRT's binary interface, against NVIDIA's headers here and of other releases."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import missing
import pytest
from host_kernel_build import PLUGINS, cuda_include
from repository import ROOT

FACTS = ROOT / "tests" / "plugins" / "tensorrt_abi_facts.txt"
"""As NVIDIA's headers of TensorRT 10.0, 10.1 and so on to 10.16, 11.0 and 11.1 have them: all are the same."""

PROGRAM = ROOT / "tests" / "support" / "host_plugins" / "abi_facts.cpp"
HEADERS = [Path("/usr/include/x86_64-linux-gnu"), Path("/usr/include/aarch64-linux-gnu"), Path("/usr/include")]


def facts(folder: Path, *options: str | Path) -> list[str]:
    if shutil.which("g++") is None:
        pytest.skip(missing.program("g++"))
    program = folder / "facts"
    command = ["g++", "-std=c++17", *options, "-isystem", cuda_include(), PROGRAM, "-o", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_plugins_declare_what_tensorrt_has(tmp_path: Path) -> None:
    assert facts(tmp_path, "-Wall", "-Wextra", "-Werror", "-Wno-invalid-offsetof", "-I", PLUGINS) == (
        FACTS.read_text().splitlines()
    )


def test_the_headers_of_this_machine_say_the_same(tmp_path: Path) -> None:
    folder = next((folder for folder in HEADERS if (folder / "NvInferRuntime.h").is_file()), None)
    if folder is None:
        pytest.skip(missing.TENSORRT_HEADERS)
    *same, major, places = facts(tmp_path, "-w", "-DNVIDIA_HEADERS", "-idirafter", folder)
    assert same == FACTS.read_text().splitlines()
    source = (PLUGINS / "tensorrt" / "release.cpp").read_text()
    releases = {10: "kTen", 11: "kEleven"}
    name = releases[int(major.split()[-1])]
    written = re.search(rf"{name}\{{(\d+), (\d+), (\d+)\}}", source)
    assert written is not None and places == f"release places {' '.join(written.groups())}"


def test_no_source_needs_nvidias_headers() -> None:
    sources = [path for path in PLUGINS.rglob("*") if path.suffix in (".h", ".cpp", ".cu", ".cuh", ".cmake", ".txt")]
    assert len(sources) > 30
    assert [path for path in sources if "NvInfer" in path.read_text()] == []
