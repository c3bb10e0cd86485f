"""What is asked of every benchmark: it can be found by its name, and by the list of its room."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner
from repository import ROOT

from benchmarks.commands import Room

ROOMS = ("cpu", "gpu", "accuracy", "training", "tracking")
"""Those with several benchmarks."""


def room(name: str) -> Room:
    found: Room = import_module(f"benchmarks.{name}.__main__").main
    return found


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_lists_commands_that_are_there(name: str) -> None:
    result = CliRunner().invoke(room(name), [])
    assert result.exit_code == 2 and "Benchmarks:" in result.output
    for benchmark, (module, line) in room(name).modules.items():
        assert re.search(rf"^  {benchmark} +{re.escape(line)}$", result.output, re.MULTILINE)
        spec = find_spec(module)
        assert spec is not None and spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
        assert any(ast.unparse(decorator) == "click.command()" for decorator in main.decorator_list)


def test_a_name_that_there_is_not() -> None:
    result = CliRunner().invoke(room("cpu"), ["gpu"])
    assert result.exit_code == 2 and "No such command 'gpu'" in result.output


def test_the_page_names_every_command() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"\| `python -m benchmarks\.([\w. ]+)` \|", page)
    listed = {f"{name} {benchmark}" for name in ROOMS for benchmark in room(name).modules}
    others = {"batch", "gpu.check", "service", "service.triton", "tables"}
    assert set(shown) == listed | others and len(shown) == len(set(shown))
