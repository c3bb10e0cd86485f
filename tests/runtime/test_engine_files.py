"""Opening engine files: which kind a file is, and what is said of those that cannot be opened here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import missing
import onnx
import pytest
from plan_files import IDENTITY, METADATA, plan_bytes
from scripted_engine import infer, write_photo

from yolact.engines.build_options import BuildOptions
from yolact.engines.builder import build_plan
from yolact.runtime.cuda.gpu import find_gpu
from yolact.runtime.detector import Detector
from yolact.runtime.engine import DeviceChoice, EngineOptions
from yolact.runtime.engine_files import open_engine, read_metadata
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.onnx.exported_model import read_exported_model
from yolact.runtime.tensorrt.flavour import TENSORRT_RTX, load_flavour
from yolact.runtime.tensorrt.plan_file import sidecar_of

pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)


@pytest.fixture(scope="module")
def plan(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real plan with its sidecar."""
    path = tmp_path_factory.mktemp("plan") / "tiny.plan"
    model = read_exported_model(tiny_engine)
    build_plan(model, BuildOptions(("sm_86",)), load_flavour(TENSORRT_RTX), command=("yolact-build", "--x")).save(path)
    return path


@pytest.fixture
def copy(plan: Path, here: Path) -> Path:
    shutil.copy(sidecar_of(plan), here)
    return Path(shutil.copy(plan, here))


def describe(path: Path) -> None:
    """Let the sidecar be about the plan as it is now."""
    sidecar, data = json.loads(sidecar_of(path).read_text()), path.read_bytes()
    sidecar["plan"] |= {"size": len(data), "plan_sha256": hashlib.sha256(data).hexdigest()}
    sidecar_of(path).write_text(json.dumps(sidecar))


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def other_version(path: Path) -> None:
    """As the next major version would have written it."""
    data = bytearray(path.read_bytes())
    data[24:28] = bytes((2, 0, 0, 5))
    path.write_bytes(data)
    describe(path)


def other_flavour(path: Path) -> None:
    path.write_bytes(plan_bytes(b"ftrt", (10, 3, 0, 26)))
    sidecar_of(path).write_text(IDENTITY.to_sidecar(METADATA))
    describe(path)


def newer_sidecar(path: Path) -> None:
    sidecar_of(path).write_text('{"schema_version": 7}')


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is no TensorRT plan, which begins with ftrt or vtrt"),
    "foreign": (lambda path: path.write_bytes(b"GIF89a" * 50), "is no TensorRT plan"),
    "cut off": (cut_off, "it has 5000 bytes where its sidecar says"),
    "changed": (one_bit, "its contents are not those that tiny.plan.json describes"),
    "cut off in the header": (lambda path: path.write_bytes(b"vtrt\0"), "is cut off after 5 bytes"),
    "other version": (
        other_version,
        "built by TensorRT for RTX 2.0.0.5 for sm_86, cannot run here: here is TensorRT for RTX 1.7",
    ),
    "other flavour": (
        other_flavour,
        "built by TensorRT 10.3.0.26 on Orin (sm_87), cannot run here: TensorRT is not installed; install it with: "
        "pip install -e '.[tensorrt]'",
    ),
    "newer sidecar": (newer_sidecar, "has schema 7, this runtime reads 2"),
    "named as ONNX": (lambda path: path.rename("a.onnx"), "a.onnx is a TensorRT plan, not an ONNX file; rename it"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_plans_that_cannot_be_opened(copy: Path, here: Path, name: str) -> None:
    damage, message = DAMAGED[name]
    damage(copy)
    path = copy if copy.exists() else here / "a.onnx"
    with pytest.raises(EngineError) as caught:
        Detector.open(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    result = infer(path, write_photo(here / "photo.png"))
    assert result.exit_code == 4 and result.stderr == f"error: {caught.value}\n" and result.stdout == ""


def test_other_versions_name_the_command_that_rebuilds(copy: Path) -> None:
    other_version(copy)
    with pytest.raises(
        EngineError, match="plans run in the version that built them; rebuild it here with: yolact-build --x"
    ):
        open_engine(copy)


@pytest.mark.skipif(find_gpu() is not None, reason=missing.WITHOUT_A_GPU)
def test_without_a_gpu(copy: Path) -> None:
    with pytest.raises(
        EngineError, match=r"tiny\.plan, built by TensorRT for RTX .* for sm_86, cannot run here: there is no NVIDIA"
    ):
        open_engine(copy)


def test_an_onnx_file_called_plan(tiny_engine: Path, here: Path) -> None:
    shutil.copy(tiny_engine, here / "a.plan")
    with pytest.raises(EngineError, match=r"a\.plan is no TensorRT plan, .* an ONNX file should be called \.onnx"):
        open_engine(here / "a.plan")


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "device": (lambda path: path.symlink_to("/dev/zero"), "x is a device, expected a regular engine file"),
    "pipe": (os.mkfifo, "x is a pipe, expected a regular engine file"),
    "folder": (lambda path: path.mkdir(), "x is a folder, expected a regular engine file"),
    "socket": (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "x is a socket, expected a regular"),
    "nothing": (lambda path: None, "x"),
}


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
@pytest.mark.parametrize("name", NO_FILES)
@pytest.mark.parametrize("read", [open_engine, read_metadata, read_exported_model])
def test_what_is_no_file_is_called_what_it_is(here: Path, read: Callable[[Path], object], name: str) -> None:
    make, message = NO_FILES[name]
    make(here / "x")
    expected = message.replace("engine file", "file to take metadata from") if read is read_metadata else message
    with pytest.raises(YolactError, match=expected):
        read(Path("x"))


def test_options_of_the_other_kind(tiny_engine: Path, copy: Path) -> None:
    with pytest.raises(UsageError, match="is an ONNX file and has its metadata inside"):
        open_engine(tiny_engine, EngineOptions(metadata_file=tiny_engine))
    with pytest.raises(UsageError, match="threads are for ONNX"):
        open_engine(copy, EngineOptions(threads=2))
    with pytest.raises(UsageError, match="runs on cuda, got cpu"):
        open_engine(copy, EngineOptions(DeviceChoice("cpu")))


@pytest.mark.parametrize("threads", [0, -1, 4097, 1.0, True, "2"])
def test_threads_that_are_no_number_of_them(threads: object) -> None:
    with pytest.raises(UsageError, match=r"threads, unless they are None .* must be a positive whole number"):
        EngineOptions(threads=threads)  # type: ignore[arg-type]


def test_metadata_from_elsewhere(tiny_engine: Path, plan: Path, tmp_path: Path) -> None:
    """Of a plan that lost its sidecar: from the ONNX file, or from the sidecar under another name."""
    expected = read_exported_model(tiny_engine).metadata
    assert read_metadata(tiny_engine) == expected
    stripped = onnx.load(tiny_engine)  # which only TensorRT with plugins can run
    del stripped.functions[:]
    onnx.save(stripped, tmp_path / "stripped.onnx")
    assert read_metadata(tmp_path / "stripped.onnx") == expected
    (tmp_path / "bad.onnx").write_bytes(tiny_engine.read_bytes()[:999])
    with pytest.raises(EngineError, match="is no ONNX file, or a damaged one"):
        read_metadata(tmp_path / "bad.onnx")
    assert read_metadata(Path(shutil.copy(sidecar_of(plan), tmp_path / "other.json"))) == expected
    for text, message in ((None, "there is no file"), ("{", "is no sidecar")):
        path = tmp_path / "bad.json"
        if text is not None:
            path.write_text(text)
        with pytest.raises(EngineError, match=message):
            read_metadata(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:12", ("cuda", 12)), ("tensorrt:1", ("tensorrt", 1))],
)
def test_devices(text: str, expected: tuple[str, int]) -> None:
    choice = DeviceChoice.parse(text)
    assert (choice.kind, choice.index) == expected and DeviceChoice.parse(str(choice)) == choice


@pytest.mark.parametrize(
    "text", ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:1 ", "CUDA", "cuda:1000", "openvino:", "openvino:gpu"]
)
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(UsageError, match="expected a device like cpu"):
        DeviceChoice.parse(text)
