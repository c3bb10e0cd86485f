"""ONNX Runtime is told not to report its use, whichever part of the toolkit loads it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import importlib, sys
module = importlib.import_module(sys.argv[1])
import onnxruntime
onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
"""


@pytest.mark.parametrize(
    "module",
    [
        "yolact.runtime.detector",
        "yolact.runtime.bench.stages",
        "yolact.export.verify",
        "yolact.calib.inner_tensors",
        "yolact.diff.onnx_layers",
        "yolact.training.explain.explanation",
    ],
)
def test_nothing_is_left_in_the_home_folder(module: str, engine: Path, tmp_path: Path) -> None:
    """ONNX Runtime 1.31 and later put an identity of the machine there before they report."""
    command = [sys.executable, "-c", PROGRAM, module, str(engine)]
    subprocess.run(command, check=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, timeout=300)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
