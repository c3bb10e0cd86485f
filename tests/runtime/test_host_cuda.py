"""Runs the tests in `host_cuda/`: the TensorRT runtime against a CUDA driver without a GPU.

The driver is a library called `libcuda.so.1`, so those tests have a process of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import missing
import pytest
from repository import ROOT

FOLDER = Path(__file__).parent / "host_cuda"
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")


@pytest.mark.skipif(sys.platform != "linux", reason=missing.LINUX)
@pytest.mark.skipif(shutil.which("gcc") is None, reason=missing.program("gcc"))
@pytest.mark.skipif(find_spec("cuda") is None, reason="cuda-bindings is not installed -- pip install '.[rtx]'")
def test_the_runtime_against_a_driver_without_a_gpu(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    library = tmp_path / "libcuda.so.1"
    command = ["gcc", *WARNINGS, "-O1", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library]
    subprocess.run([*command, FOLDER / "libcuda.c", "-lpthread", "-ldl"], check=True)
    found = os.environ.get("LD_LIBRARY_PATH")
    environment = os.environ | {
        "LD_LIBRARY_PATH": f"{tmp_path}{os.pathsep}{found}" if found else str(tmp_path),
        "YOLACT_HOST_CUDA": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(FOLDER.parent), str(ROOT / "tests" / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
    }
    with suppress(pytest.skip.Exception):  # without the CUDA toolkit, the tests that need the kernels skip
        environment["YOLACT_HOST_KERNELS"] = str(request.getfixturevalue("host_kernels"))
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER)]
    done = subprocess.run(tests, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and " failed" not in done.stdout
