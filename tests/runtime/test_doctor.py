"""`yolact-doctor`: what is here, and whether a file runs here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import missing
import pytest
from click.testing import CliRunner, Result

from yolact.cli.doctor import main


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def lines(result: Result) -> dict[str, tuple[str, str]]:
    """State and text by title."""
    rows = [line for line in result.stdout.splitlines() if line[:4] in ("ok  ", "--  ")]
    return {row[4:22].strip(): (row[:2], row[22:]) for row in rows}


def test_the_machine() -> None:
    import onnxruntime

    result = run()
    assert result.exit_code == 0
    found = lines(result)
    assert next(iter(found)) == "yolact" and f"Python {sys.version.split()[0]}" in found["yolact"][1]
    assert found["ONNX Runtime"][0] == "ok" and onnxruntime.__version__ in found["ONNX Runtime"][1]
    assert "CPUExecutionProvider" in found["ONNX Runtime"][1]
    assert {"TensorRT", "TensorRT for RTX", "cuda-bindings", "PyTorch", "onnx"} <= found.keys()
    assert any(title.startswith("GPU") for title in found)


def test_missing_parts_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorrt", "tensorrt_rtx", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, module, None)
    result = run()
    assert result.exit_code == 0
    found = lines(result)
    assert found["TensorRT"][0] == "--"
    assert "TensorRT is not installed; install it with: pip install -e '.[tensorrt]'" in found["TensorRT"][1]
    assert found["TensorRT for RTX"][0] == "--" and ".[rtx]" in found["TensorRT for RTX"][1]
    assert found["GPU"][0] == "--" and "needs cuda-bindings" in found["GPU"][1]


def test_onnxruntime_may_be_what_is_missing(tiny_engine: Path) -> None:
    program = "import sys; sys.modules['onnxruntime'] = None; from yolact.cli.doctor import main; main()"
    command = [sys.executable, "-c", program, "--engine", str(tiny_engine)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and "Traceback" not in done.stderr
    assert "--  ONNX Runtime" in done.stdout and "ONNX files need onnxruntime, which does not load" in done.stdout


def test_an_onnx_file_that_runs(tiny_engine: Path) -> None:
    result = run("--engine", tiny_engine)
    assert result.exit_code == 0
    found = lines(result)
    assert found["model"] == ("ok", "tiny, 3 classes, 160x160, full graph, fp32")
    assert found["verdict"] == ("ok", f"{tiny_engine} runs here")


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"hello", "a.onnx", "cannot be opened as an ONNX model"),
        (b"hello", "a.plan", "is no TensorRT plan"),
        (b"vtrt", "a.plan", "is cut off after 4 bytes"),
    ],
)
def test_files_that_do_not_run(here: Path, data: bytes, name: str, message: str) -> None:
    (here / name).write_bytes(data)
    result = run("--engine", name)
    assert result.exit_code == 4
    assert lines(result)["verdict"][0] == "--" and message in lines(result)["verdict"][1]


def test_a_plan(tiny_engine: Path, here: Path) -> None:
    """Built here for another machine; then changed, then without its sidecar."""
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    from yolact.cli.build import main as build

    shutil.copy(tiny_engine, "tiny.onnx")
    done = CliRunner().invoke(build, ["--engine", "tiny.onnx", "--output", "a.plan", "--gpu-arch", "sm_86"])
    assert done.exit_code == 0, done.output
    found = lines(run("--engine", "a.plan"))
    assert found["model"] == ("ok", "tiny, 3 classes, 160x160, full graph, fp32")
    assert re.fullmatch(r"fp32 was asked for, and the plan has \d+ convolutions in fp32", found["precision"][1])
    assert found["batch"][1] == "1 to 1, tuned for 1"
    assert found["contents"] == ("ok", "as built")
    assert found["built by"][1].startswith("TensorRT for RTX ") and found["built by"][1].endswith(" for sm_86")

    data = bytearray(Path("a.plan").read_bytes())
    data[-1] ^= 1
    Path("a.plan").write_bytes(data)
    assert lines(run("--engine", "a.plan"))["contents"][0] == "--"

    Path("a.plan.json").unlink()
    found = lines(run("--engine", "a.plan"))
    assert found["sidecar"] == ("--", "there is no a.plan.json") and "model" not in found


def test_wrong_usage() -> None:
    assert run("--engine", "nowhere.plan").exit_code == 2
    assert run("--device", "tpu").exit_code == 2
