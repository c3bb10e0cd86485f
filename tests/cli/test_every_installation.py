"""Every command in installations that lack packages: it works, or says in a sentence what installs what it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from installations import distribution
from repository import DEMO_CHECKPOINT, ROOT
from scripted_engine import write_photo

from yolact.cli.main import COMMANDS
from yolact.runtime import packages
from yolact.runtime.cuda.gpu import find_gpu
from yolact.runtime.packages import how_to_install

OPTIONAL = {
    *("torch", "onnx", "google", "pycocotools", "polygraphy", "tensorrt", "tensorrt_rtx", "cuda", "supervision"),
    *("tensorboard", "wandb", "pycuda", "nvidia", "huggingface_hub", "av", "tritonclient"),
    *("pyarrow", "pandas", "ray"),
}
"""Packages that `pip install .` does not bring."""

EXPORTING = {"torch", "onnx", "google"}
"""Those of them that the extra `export` brings."""

DONE = ""

BUILDER = "rtx" if find_gpu() is None else "tensorrt"
"""TensorRT itself builds on the GPU that a plan is for."""

COMMAND_LINES: tuple[tuple[str, str, str], ...] = (
    # arguments, what it says with nothing else installed, what it says with the extra `export`; a word is an extra
    ("infer --engine {engine} photos/a.png", DONE, DONE),
    ("infer --engine {engine} b.jpg --jpeg-decoder nvimgcodec", "nvimgcodec", "nvimgcodec"),
    ("infer --engine {engine} film.mp4", "video", "video"),
    ("infer --triton grpc://127.0.0.1:9/yolact photos/a.png", "triton", "triton"),
    ("triton --engine {engine} --repository models", "triton", "triton"),
    ("batch --engine {engine} --input photos --output out", "ray", "ray"),
    ("eval --detections out --annotations a.json --images photos", "eval", "eval"),
    ("bench --engine {engine} --duration 0.05", DONE, DONE),
    ("infer --engine some/net photos/a.png", "hub", "hub"),
    ("infer --engine w.pth photos/a.png", "export", "no file of tensors"),
    ("models", DONE, DONE),
    ("doctor --engine {engine}", DONE, DONE),
    ("scenes --count 1 --output scenes", DONE, DONE),
    ("build-plugins --help", DONE, DONE),
    ("export --weights w.pth --output a.onnx", "export", "no file of tensors"),
    ("export --weights some/net --output a.onnx", "hub", "hub"),
    ("export --weights w.pth --int8 --calib-data photos --output a.onnx", "export", "no file of tensors"),
    ("build --engine {engine}", BUILDER, BUILDER),
    ("diff --engine {engine} --reference {engine} --report r.html", "diff", "diff"),
    ("diff --engine w.pth --reference {engine} --report r.html", "diff", "diff"),
    ("eval --engine {engine} --annotations a.json --images photos", "eval", "eval"),
    ("eval --weights w.pth --annotations a.json --images photos", "eval", "eval"),
    ("explain --engine {engine} photos/a.png --output e.png", "export", DONE),
    ("explain --weights w.pth photos/a.png --output e2.png", "export", "no file of tensors"),
    ("train --config yolact_demo --data scenes --iterations 1", "train", "train"),
    ("sensitivity --engine {engine} --calib-data photos --limit 1", "export", DONE),
    ("sensitivity --engine {engine} --calib-data photos --annotations a.json --images photos", "export", "eval"),
)


def test_the_table_has_every_command() -> None:
    assert {line.split()[0] for line, _, _ in COMMAND_LINES} == set(COMMANDS)


@pytest.fixture
def inputs(here: Path) -> Path:
    """A working directory with what the commands are given."""
    write_photo(here / "photos" / "a.png")
    write_photo(here / "b.jpg")
    (here / "a.json").write_text("{}")
    (here / "w.pth").write_text("no checkpoint")
    (here / "film.mp4").write_text("no film")
    return here


def assert_answers(python: str | Path, missing: set[str], engine: Path, expected: list[str], advice: str) -> None:
    """Run every command line without the packages that are missing; `advice` has braces in place of an extra."""
    commands = [line.format(engine=engine).split() for line, _, _ in COMMAND_LINES]
    request = {"missing": sorted(missing), "commands": commands}
    script = ROOT / "tests" / "support" / "limited_installation.py"
    done = subprocess.run([python, script], input=json.dumps(request), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *results, supervision = json.loads(done.stdout)
    wrong = []
    for command, says, (code, output, exception) in zip(commands, expected, results, strict=True):
        advised = says == DONE or " " in says or (output.count("\n") == 1 and advice.format(says) in output)
        right = (code == 0) if says == DONE else (code == 1 and advised and says in output)
        if exception or not right:
            wrong.append((command, says, code, exception, output[-300:]))
    assert not wrong
    assert f"to_supervision needs supervision; {advice.format('supervision')}" in supervision[1]


@pytest.mark.parametrize("here_too", [set(), EXPORTING], ids=["inference", "export"])
def test_every_command(here_too: set[str], tiny_engine: Path, inputs: Path) -> None:
    expected = [exporting if here_too else alone for _, alone, exporting in COMMAND_LINES]
    advice = f"install it with: pip install -e '.[{{}}]' in {ROOT}"
    assert_answers(sys.executable, OPTIONAL - here_too, tiny_engine, expected, advice)


class WheelEnvironment(NamedTuple):
    """The wheel in an environment that has nothing else, and then what the extra `export` brings."""

    python: Path
    exports: bool

    def run(self, command: str, *arguments: str | Path) -> str:
        """What one of the installed commands prints; it has to succeed."""
        done = subprocess.run([self.python.with_name(command), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """It is removed afterwards, as PyTorch in it takes more than a gigabyte."""
    folder = tmp_path_factory.mktemp("wheel") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=[False, True], ids=["inference", "export"])
def wheel(request: pytest.FixtureRequest, empty_environment: Path) -> WheelEnvironment:
    pip = [sys.executable, "-m", "pip", "--python", empty_environment, "install", "--quiet", "--no-compile"]
    if request.param:
        subprocess.run([*pip, f"torch=={version('torch').partition('+')[0]}"], check=True)
    subprocess.run([*pip, f"{distribution('*.whl')}{'[export]' if request.param else ''}"], check=True)
    return WheelEnvironment(empty_environment, request.param)


@pytest.mark.dist
def test_every_command_of_the_wheel(wheel: WheelEnvironment, tiny_engine: Path, inputs: Path) -> None:
    expected = [exporting if wheel.exports else alone for _, alone, exporting in COMMAND_LINES]
    assert_answers(wheel.python, set(), tiny_engine, expected, "install it with: pip install 'yolact[{}]'")


@pytest.mark.dist
def test_the_wheel_from_another_folder(wheel: WheelEnvironment, tiny_engine: Path, inputs: Path) -> None:
    engine = tiny_engine
    assert "Usage: yolact-infer" in wheel.run("yolact-infer", "--help")
    assert str(wheel.python.parents[1]) in wheel.run("python", "-c", "import yolact; print(yolact.__file__)")
    if wheel.exports:
        engine = inputs / "demo.onnx"
        wheel.run("yolact-export", "--weights", DEMO_CHECKPOINT, "--output", engine)
    assert wheel.run("yolact-doctor", "--engine", engine).endswith(f"{engine} runs here\n")
    wheel.run("yolact-infer", "--engine", engine, "photos/a.png", "--json", "found.json", "--output", "pictures")
    assert [image["source"] for image in json.loads(Path("found.json").read_text())] == ["photos/a.png"]
    assert Path("pictures/a.png").is_file()


@pytest.mark.dist
def test_the_c_library_is_built_from_the_wheel(wheel: WheelEnvironment, here: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler -- apt-get install gcc")
    wheel.run("python", "-m", "yolact.runtime.capi.build", "--output", here)
    assert (here / "libyolact.so").is_file()


def test_the_line_is_that_of_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert how_to_install("eval") == "install it with: pip install -e '.[eval]'"
    monkeypatch.chdir(tmp_path)
    assert how_to_install("eval") == f"install it with: pip install -e '.[eval]' in {ROOT}"
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "site-packages" / "yolact" / "runtime" / "packages.py"))
    assert how_to_install("eval") == "install it with: pip install 'yolact[eval]'"
