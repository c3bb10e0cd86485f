"""What an import may pull in: the runtime stays thin, and nothing needs a GPU."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from repository import ROOT

HEAVY = {
    "torch",
    "torchvision",
    "onnx",
    "click",
    "supervision",
    "pycocotools",
    "tensorrt",
    "tensorrt_rtx",
    "cuda",
    "tensorboard",
    "wandb",
    "polygraphy",
    "huggingface_hub",
    "tqdm",
    "av",
    "tritonclient",
    "google",
}


def modules_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter, and `yolact.<folder>`."""
    program = f"{statement}\nimport json, sys; print(json.dumps(list(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    names = json.loads(output)
    return {name.split(".")[0] for name in names} | {
        ".".join(name.split(".")[:2]) for name in names if name.startswith("yolact.")
    }


def test_the_runtime_is_thin() -> None:
    loaded = modules_after("from yolact.runtime.detector import Detector")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("yolact.")} == {"yolact.runtime"}


COMMANDS = sorted(path.stem for path in (ROOT / "cli").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_start_without_what_they_may_not_need(command: str) -> None:
    assert not modules_after(f"import yolact.cli.{command}") & (HEAVY - {"click"})


def test_training_and_export_need_no_tensorrt() -> None:
    loaded = modules_after("import yolact.training.models.checkpoints, yolact.export.onnx_model, yolact.export.verify")
    assert not loaded & {"tensorrt", "tensorrt_rtx", "tensorboard", "wandb"}  # PyTorch itself imports cuda


PRINTING = {"diff/polygraphy_scripts/compare.py", "runtime/capi/build.py"}
"""Programs of their own, which no command runs."""


def test_libraries_leave_printing_to_the_commands() -> None:
    """They are given functions that take lines: a print of theirs would break a progress bar, or another's output."""
    rooms = ("calib", "diff", "engines", "export", "hub", "plugins", "runtime", "serving", "training", "yolact")
    files = [path for folder in rooms for path in (ROOT / folder).rglob("*.py")]
    found = {}
    for path in files:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        if "print" in names or "click" in imported:
            found[path.relative_to(ROOT).as_posix()] = path
    assert len(files) > 150 and found.keys() == PRINTING


def test_every_command_starts() -> None:
    commands = [entry for entry in entry_points(group="console_scripts") if entry.value.startswith("yolact.")]
    assert len(commands) >= 9
    for entry in commands:
        assert callable(entry.load()), entry
