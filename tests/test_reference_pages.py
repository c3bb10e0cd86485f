"""The pages of docs/reference list everything that the sources have, and nothing else."""

from __future__ import annotations

import importlib
import re
import sys

import pytest
from repository import ROOT

import yolact
from yolact.cli.command import INTERRUPTED, TERMINATED
from yolact.cli.main import COMMANDS
from yolact.runtime import errors
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import INPUT_NAME, input_spec, output_specs
from yolact.runtime.metadata import ModelMetadata, Quantization
from yolact.training.models.configs import CONFIGS


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def rows(name: str, section: str = "") -> list[list[str]]:
    """Cells of the tables in a section."""
    text = page(name).partition(f"\n## {section}\n")[2].partition("\n## ")[0] if section else page(name)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\| .*\|$", text, re.M)]


def inserted(name: str) -> str:
    """What the site puts in the place of a comment."""
    pytest.importorskip("mkdocs.config", reason="the site needs the extra `docs`")
    sys.path.insert(0, str(ROOT / "docs" / "hooks"))
    try:
        return "\n".join(importlib.import_module("insertions").INSERTIONS[name](ROOT))
    finally:
        sys.path.pop(0)


def test_every_name_of_the_front_door() -> None:
    named = set(re.findall(r"^::: ([\w.]+)$", page("python.md"), re.M))
    found = {name.rpartition(".")[2]: name for name in named}
    assert yolact.__all__ and set(yolact.__all__) <= found.keys()
    for path in named:
        module, _, name = path.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        assert value is getattr(yolact, name, value)


def test_tensors_have_the_contract_s_types_and_ranks() -> None:
    shown = {row[0].strip("`"): (row[1], row[2].count(",") + 1) for row in rows("engine-file.md", "Tensors")}
    config, settings = CONFIGS["yolact_plus_base"], PostprocessConfig()
    full, raw = output_specs("full", config, settings), output_specs("raw", config, settings)
    specs = {INPUT_NAME: input_spec(config), **full, **raw}
    del shown["tensor"]
    assert shown == {name: (spec.dtype.name, len(spec.shape) + 1) for name, spec in specs.items()}
    assert list(shown) == list(specs)


def test_metadata_have_every_key() -> None:
    rounded = Quantization("cpu", (), (), "percentile", 1, "")
    metadata = ModelMetadata("full", CONFIGS["yolact_base"], PostprocessConfig(), "", "", quantization=rounded)
    assert [row[0].strip("`") for row in rows("engine-file.md", "Metadata")[1:]] == list(metadata.to_props())


def test_exit_codes() -> None:
    kinds = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}
    assert {int(row[0]) for row in rows("exit-codes.md")[1:]} == {0, *kinds, INTERRUPTED, TERMINATED}


def test_commands_with_all_options() -> None:
    text = inserted("commands")
    for name in COMMANDS:
        section = text.partition(f"## yolact-{name}\n")[2].partition("\n## ")[0]
        command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
        options = {one.opts[0] for one in command.params if one.opts[0].startswith("--")}
        assert options and options == set(re.findall(r"^\| `(--[\w-]+)", section, re.M)) - {"--help"}


def test_configurations() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| \w+ \| (\d+) ", inserted("configurations"), re.M))
    assert shown == {name: str(config.image_size) for name, config in CONFIGS.items()}
    assert "| 19,248 | 32 of 138 x 138 |" in inserted("configurations")


def test_every_declaration_of_the_header() -> None:
    text = inserted("header")
    source = (ROOT / "runtime/capi/yolact.h").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```c\n(.*?)^```$", text, re.M | re.S))
    functions = re.findall(r"\b(yolact_\w+)\([^)]*\);", re.sub(r"/\*.*?\*/", "", source, flags=re.S))
    assert len(functions) > 12
    for name in (*functions, *re.findall(r"\bYOLACT_[A-Z_]+(?= =)", source), "yolact_stream_options;", "yolact_mask;"):
        assert name in code, name
    assert "*/" not in re.sub(r"^```c\n.*?^```$", "", text, flags=re.M | re.S) and text.count("```") % 2 == 0
    assert "## Ownership" in text and "## Streams" in text and "YOLACT_API" not in code
