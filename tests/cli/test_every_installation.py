"""Every command in installations that lack packages: it works, or says in a sentence what installs what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT
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


@pytest.mark.parametrize("here_too", [set(), EXPORTING], ids=["inference", "export"])
def test_every_command(here_too: set[str], tiny_engine: Path, here: Path) -> None:
    write_photo(here / "photos" / "a.png")
    write_photo(here / "b.jpg")
    (here / "a.json").write_text("{}")
    (here / "w.pth").write_text("no checkpoint")
    (here / "film.mp4").write_text("no film")
    commands = [line.format(engine=tiny_engine).split() for line, _, _ in COMMAND_LINES]
    request = {"missing": sorted(OPTIONAL - here_too), "commands": commands}
    script = ROOT / "tests" / "support" / "limited_installation.py"
    done = subprocess.run([sys.executable, script], input=json.dumps(request), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *results, supervision = json.loads(done.stdout)
    wrong = []
    for (line, alone, exporting), (code, output, exception) in zip(COMMAND_LINES, results, strict=True):
        expected = exporting if here_too else alone
        advice = f"install it with: pip install -e '.[{expected}]' in {ROOT}"
        says = output if expected == DONE or " " in expected else output.count("\n") == 1 and advice in output
        right = (code == 0) if expected == DONE else (code == 1 and bool(says) and expected in output)
        if exception or not right:
            wrong.append((line, expected, code, exception, output[-300:]))
    assert not wrong
    assert "to_supervision needs supervision; install it with: pip install -e '.[supervision]'" in supervision[1]


def test_the_line_is_that_of_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert how_to_install("eval") == "install it with: pip install -e '.[eval]'"
    monkeypatch.chdir(tmp_path)
    assert how_to_install("eval") == f"install it with: pip install -e '.[eval]' in {ROOT}"
    monkeypatch.setattr(packages, "__file__", str(tmp_path / "site-packages" / "yolact" / "runtime" / "packages.py"))
    assert how_to_install("eval") == "install it with: pip install 'yolact[eval]'"
