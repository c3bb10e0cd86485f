"""ONNX Runtime and OpenVINO are told not to report their use, whichever part of the toolkit loads them first."""

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


OPENVINO = """
import sys
from yolact.runtime.detector import Detector
Detector.open(sys.argv[1], device="openvino")
import openvino.tools.ovc
assert "openvino_telemetry" not in sys.modules
import openvino_telemetry  # for whoever else uses it
"""


def test_openvino_leaves_nothing_in_the_home_folder(engine: Path, tmp_path: Path) -> None:
    """Its Python package puts an identity of the machine there whenever it is imported, and reports that it was."""
    command = [sys.executable, "-c", OPENVINO, str(engine)]
    subprocess.run(command, check=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, timeout=300)
    assert [*tmp_path.iterdir()] == []
