"""What a Python user meets first: the package `yolact` itself, which loads what is asked for and nothing before."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

import yolact


def run_python(program: str, cwd: Path) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_itself_loads_no_library(tmp_path: Path) -> None:
    libraries = ("numpy", "cv2", "onnxruntime", "onnx", "torch", "click", "tqdm")
    program = f"import sys, yolact; dir(yolact); print(yolact.__version__, set({libraries}) & set(sys.modules))"
    assert run_python(program, tmp_path).split() == [yolact.__version__, "set()"]


def test_names_are_loaded_when_they_are_asked_for(tmp_path: Path) -> None:
    program = """
import sys, yolact
config = yolact.ModelConfig("small", "resnet50", 64, ("dog",))
assert "numpy" not in sys.modules
from yolact import *
print(sorted(name for name in globals() if not name.startswith("_")))
print(type(config) is ModelConfig, issubclass(YolactError, Exception), yolact.annotate is annotate)
"""
    names, equal = run_python(program, tmp_path).splitlines()
    assert names == str(sorted([*yolact.__all__, "config", "sys", "yolact"])) and equal == "True True True"


def test_threads_may_ask_at_once(tmp_path: Path) -> None:
    program = """
import sys, threading, yolact
sys.setswitchinterval(1e-6)
start, found = threading.Barrier(16), []
def ask(name):
    start.wait()
    found.append((name, getattr(yolact, name)))
threads = [threading.Thread(target=ask, args=(name,)) for name in yolact.__all__ * 3][:16]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), all(value is getattr(yolact, name) for name, value in found))
"""
    assert run_python(program, tmp_path).split() == ["16", "True"]


def test_what_it_offers_is_listed() -> None:
    public = {name for name in dir(yolact) if not name.startswith("_")}
    assert public == set(yolact.__all__) and {"__version__", "__all__", "__doc__"} <= set(dir(yolact))
    with pytest.raises(AttributeError, match="module 'yolact' has no attribute 'nonsense'"):
        yolact.nonsense  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Detectors'"):
        exec("from yolact import Detectors")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'yolact\.nonsense'"):
        importlib.import_module("yolact.nonsense")


@pytest.mark.parametrize("folder", [ROOT, ROOT.parent], ids=["in the clone", "elsewhere"])
def test_the_package_runs_as_a_command(folder: Path) -> None:
    command = [sys.executable, "-m", "yolact", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"yolact, version {yolact.__version__}\n"), done.stderr
