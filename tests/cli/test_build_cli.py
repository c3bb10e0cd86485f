"""`yolact-build` as its users run it, with TensorRT for RTX and without a GPU."""

from __future__ import annotations

import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import missing
import pytest
from click.testing import CliRunner, Result

from yolact.cli.build import main
from yolact.cli.main import main as main_command
from yolact.runtime.tensorrt.plan_file import read_sidecar, sidecar_of

pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)

COMMAND = Path(sys.executable).with_name("yolact-build")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def onnx_file(tiny_engine: Path, here: Path) -> Path:
    return Path(shutil.copy(tiny_engine, here / "tiny.onnx"))


def test_builds_and_says_what(onnx_file: Path, here: Path) -> None:
    arguments = ("--engine", onnx_file.name, "--gpu-arch", "sm_86, sm_89,sm_86", "--opt-batch", "2", "--max-batch", "4")
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")  # no bar where stderr is no terminal
    assert re.search(r"for sm_86, sm_89; \d+ convolutions in fp32; batch 1-4; ", done.stdout)
    assert "wrote yolact.plan: " in done.stdout and "yolact.plan.json" in done.stdout
    identity, _ = read_sidecar(here / "yolact.plan.json")
    assert identity.size == (here / "yolact.plan").stat().st_size
    assert (identity.min_batch, identity.opt_batch, identity.max_batch) == (1, 2, 4)
    assert shlex.split(identity.command_line) == ["yolact-build", *arguments]  # what can be pasted to build it again


def test_batches_follow_each_other(onnx_file: Path, here: Path) -> None:
    """Built through the command `yolact`, which the recorded command line does not show."""
    arguments = ["--engine", onnx_file.name, "--min-batch", "3", "--output", "a.engine"]
    assert CliRunner().invoke(main_command, ["build", *arguments]).exit_code == 0
    identity, _ = read_sidecar(sidecar_of(here / "a.engine"))
    assert shlex.split(identity.command_line) == ["yolact-build", *arguments]
    assert (identity.min_batch, identity.opt_batch, identity.max_batch) == (3, 3, 3)


REJECTED = {
    "architecture": (["--gpu-arch", "sm_42"], 2, "builds for sm_75, "),
    "no architecture": (["--gpu-arch", "ampere"], 2, "written like sm_86, got 'ampere'"),
    **{
        f"Jetson {name}": (["--gpu-arch", name], 2, f"plans for {device} can only be built on it: copy the ONNX file")
        for name, device in (
            ("sm_53", "Jetson Nano and TX1"),
            ("sm_62", "Jetson TX2"),
            ("sm_72", "Jetson Xavier"),
            ("sm_87", "Jetson Orin"),
            ("sm_110", "Jetson Thor"),
            ("orin", "Jetson Orin"),
            ("jetson-agx-orin", "Jetson Orin"),
            ("Jetson Orin Nano", "Jetson Orin"),
            ("xavier", "Jetson Xavier"),
            ("jetson", "a Jetson"),
        )
    },
    "turing in fp32": (["--gpu-arch", "sm_75", "--plugins", "off"], 1, "export with --fp16"),
    "builder": (["--builder", "tvm"], 2, "tvm"),
    "batches": (["--min-batch", "4", "--max-batch", "2"], 2, "1 <= min <= opt <= max"),
    "batch is text": (["--max-batch", "many"], 2, "many"),
    "level": (["--optimization-level", "9"], 2, "must be 0 to 5, got 9"),
    "workspace": (["--workspace", "0"], 2, "must be 1 to 1048576 MiB, got 0"),
    "huge workspace": (["--workspace", "99999999999999999999"], 2, "must be 1 to 1048576 MiB"),
    "huge batch": (["--max-batch", "99999999999999999999"], 2, "max <= 4096"),
    "plugins": (["--plugins", "never"], 2, "'never' is not one of 'auto', 'off', 'embed'"),
    "level for RTX": (["--optimization-level", "3"], 2, "--optimization-level is for TensorRT"),
    "little workspace": (["--workspace", "1", "--max-batch", "64"], 1, "larger --workspace"),
    "version compatible": (["--version-compatible"], 2, "--version-compatible is for TensorRT"),
    "hardware compatible": (["--hardware-compatible"], 2, "--hardware-compatible is for TensorRT"),
    "output is ONNX": (["--output", "a.onnx"], 2, "expected a name that ends in .plan, .engine or .trt"),
    "output is the input": (["--engine", "old.plan", "--output", "old.plan"], 2, "is one of the inputs"),
    "no folder": (["--output", "nowhere/a.plan"], 2, "there is no folder nowhere"),
    "output folder": (["--output", "folder.plan"], 2, "is a directory"),
    "stdout": (["--output", "-"], 2, "expected a name that ends in"),
    "no such file": (["--engine", "nowhere.onnx"], 2, "nowhere.onnx"),
    "a plan": (["--engine", "old.plan"], 4, "is a TensorRT plan already"),
    "no checkpoint": (["--engine", "weights.pth"], 1, "weights.pth is not a PyTorch checkpoint"),
    "half a file": (["--engine", "half.onnx"], 4, "is no ONNX file, or a damaged one"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_requests(onnx_file: Path, here: Path, name: str) -> None:
    arguments, code, message = REJECTED[name]
    (here / "old.plan").write_bytes(b"vtrt" + bytes(96))
    (here / "yolact.plan").write_bytes(b"what was here before")
    (here / "half.onnx").write_bytes(onnx_file.read_bytes()[:5000])
    (here / "weights.pth").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    (here / "folder.plan").mkdir()
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    result = run(*([] if "--engine" in arguments else ["--engine", onnx_file]), *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr and result.stdout == ""
    assert "Traceback" not in result.output and isinstance(result.exception, SystemExit)
    assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


def test_a_full_disk_leaves_the_old_plan(onnx_file: Path, here: Path) -> None:
    (here / "yolact.plan").write_bytes(b"what was here before")
    done = subprocess.run(
        [COMMAND, "--engine", onnx_file],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "error: cannot write yolact.plan: File too large; free space or choose another place\n"
    assert sorted(path.name for path in here.iterdir()) == ["tiny.onnx", "yolact.plan"]
    assert (here / "yolact.plan").read_bytes() == b"what was here before"


INTERRUPTED = """
import os, sys, threading
from pathlib import Path
from yolact.engines import build_progress, builder
from yolact.cli.build import main
from yolact.cli.main import main as main_command

def interrupting(module, title, signals):
    monitor, steps = build_progress.make_monitor(module, title, signals), []
    class Interrupting(type(monitor)):
        def step_complete(self, phase, step):
            steps.append(phase)
            if len(steps) == 3:
                os.kill(os.getpid(), NUMBER)
            goes_on = super().step_complete(phase, step)
            Path("steps").write_text(f"{len(steps)} {goes_on}")
            return goes_on
    monitor.__class__ = Interrupting
    return monitor

builder.make_monitor = interrupting
main()
"""


def build_interrupted(onnx_file: Path, number: int) -> tuple[int, str, str]:
    """Exit code, the last line on stderr, and what the monitor last answered to which step, of a command that gets a
    signal at the third step of its build."""
    program = INTERRUPTED.replace("NUMBER", str(number))
    command = [sys.executable, "-c", program, "--engine", onnx_file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, "".join(done.stderr.splitlines()[-1:]), Path("steps").read_text()


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_signals_cancel_the_build(onnx_file: Path, here: Path, number: int, code: int, word: str) -> None:
    (here / "yolact.plan").write_bytes(b"what was here before")
    _, _, undisturbed = build_interrupted(onnx_file, 0)  # no signal at all
    assert undisturbed.endswith(" True") and int(undisturbed.split()[0]) > 10
    (here / "yolact.plan").write_bytes(b"what was here before")
    (here / "yolact.plan.json").unlink()
    assert build_interrupted(onnx_file, number) == (code, word, "3 False")
    assert sorted(path.name for path in here.iterdir()) == ["steps", "tiny.onnx", "yolact.plan"]
    assert (here / "yolact.plan").read_bytes() == b"what was here before"


def test_plan_and_sidecar_change_together(onnx_file: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the second of the two files is written."""
    assert run("--engine", onnx_file, "--gpu-arch", "sm_86").exit_code == 0
    before = {path: path.read_bytes() for path in here.iterdir()}
    write, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run("--engine", onnx_file, "--gpu-arch", "sm_89")
    monkeypatch.undo()
    assert result.exit_code == 1 and "No space left on device; free space or choose another place" in result.stderr
    assert len(written) == 2 and {path: path.read_bytes() for path in here.iterdir()} == before


def test_nothing_here_builds(onnx_file: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    result = run("--engine", onnx_file)
    assert result.exit_code == 1 and "pip install -e '.[rtx]'" in result.stderr
    assert not (here / "yolact.plan").exists()


def test_ctrl_c_while_bindings_are_loaded_is_no_broken_installation(
    onnx_file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python reports it of an extension module."""
    folder = tmp_path_factory.mktemp("interrupted")
    lines = (
        "try:",
        "    raise KeyboardInterrupt",
        "except KeyboardInterrupt as error:",
        "    raise ImportError from error",
    )
    (folder / "tensorrt.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    result = run("--engine", onnx_file, "--builder", "tensorrt")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_an_installation_that_does_not_load(
    onnx_file: Path, here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a wheel's libraries are missing: the import of the module itself fails."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    result = run("--engine", onnx_file, "--builder", "tensorrt")
    assert result.exit_code == 1
    assert "TensorRT is installed but does not load (libnvinfer.so.10: cannot open shared" in result.stderr
