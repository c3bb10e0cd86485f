"""No output of a command replaces an input of it: every pair of both, under the same name and under all others."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from yolact.cli.main import COMMANDS

OUTPUTS: dict[str, dict[str, str]] = {
    "bench": {"--json": "a.json"},
    "build": {"--output": "a.plan"},
    "diff": {"--report": "a.html"},
    "eval": {"--json": "a.json"},
    "explain": {"--output": "a.png"},
    "export": {"--output": "a.onnx", "--calib-cache": "a.json"},
    "infer": {"--json": "a.json"},
    "sensitivity": {"--json": "a.json", "--chart": "a.png", "--calib-cache": "a.cache"},
}
"""Options that name a file to write, with a name that they take."""

INPUTS: dict[str, dict[str, str]] = {
    "bench": {"IMAGE": "i.jpg", "--engine": "e.onnx", "--metadata": "m.json"},
    "build": {"--engine": "e.onnx"},
    "diff": {
        "--engine": "e.onnx",
        "--reference": "r.onnx",
        "--metadata": "m.json",
        "--annotations": "n.json",
        "--data": "d/",
    },
    "eval": {"--engine": "e.onnx", "--metadata": "m.json", "--annotations": "n.json", "--images": "d/"},
    "explain": {"IMAGE": "i.jpg", "--engine": "e.onnx"},
    "export": {
        "--weights": "w.pth",
        "--class-names": "c.txt",
        "--check-image": "i.jpg",
        "--calib-data": "d/",
        "--verify": "n.json",
        "--verify-images": "v/",
    },
    "infer": {"SOURCES": "i.jpg", "--engine": "e.onnx", "--metadata": "m.json"},
    "sensitivity": {"--engine": "e.onnx", "--annotations": "n.json", "--images": "v/", "--calib-data": "d/"},
}
"""Everything else that names a file or a folder (which ends in a slash)."""

MORE = {"export": ["--int8"]}
CHECKPOINTS = {"eval": "--weights", "explain": "--weights"}
"""Instead of --engine."""

WRITES_FOLDERS = {
    "train": {"--output", "--weights"},  # tested below, and --data and --val, which are no names of files alone
    "eval": {"--report", "--video"},  # tested in test_eval_report.py and test_eval_stability.py
    "batch": {"--metadata"},  # writes into a folder that holds nothing else
    "infer": {"--output"},  # which numbers its files: see `OutputNames`
    "scenes": {"--output"},  # without inputs
    "triton": {"--repository"},  # which holds nothing else
    "build-plugins": {"--output"},
    "doctor": {"--engine", "--metadata"},  # writes nothing
}


def main_of(name: str) -> click.Command:
    command: click.Command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_tables_are_complete(name: str) -> None:
    files = {
        parameter.opts[0] if isinstance(parameter, click.Option) else parameter.name.upper().removesuffix("_FILE")
        for parameter in main_of(name).params
        if isinstance(parameter.type, click.Path) and parameter.name is not None
    }
    known = {*OUTPUTS.get(name, ()), *INPUTS.get(name, ()), *WRITES_FOLDERS.get(name, ())}
    known |= {CHECKPOINTS[name]} if name in CHECKPOINTS else set()
    assert files <= known


def same(output: Path, given: Path) -> Path:
    return output


def other_case(output: Path, given: Path) -> Path:
    return output.with_name(output.stem.upper() + output.suffix)


def symbolic_link(output: Path, given: Path) -> Path:
    given = given.with_name("link" + given.suffix)
    given.symlink_to(output.resolve())
    return given


def link_to_the_input(output: Path, given: Path) -> Path:
    given.write_bytes(b"input")
    output.unlink()
    output.symlink_to(given.resolve())
    return given


def hard_link(output: Path, given: Path) -> Path:
    given = given.with_name("link" + given.suffix)
    given.hardlink_to(output)
    return given


WAYS: list[Callable[[Path, Path], Path]] = [same, other_case, symbolic_link, link_to_the_input, hard_link]


def file_cases() -> Iterator[Any]:
    for name, outputs in OUTPUTS.items():
        for output in outputs:
            for given, path in INPUTS[name].items():
                for way in WAYS:
                    if not path.endswith("/"):
                        yield pytest.param(name, output, given, way, id=f"{name} {output} {given} {way.__name__}")


def folder_cases() -> Iterator[Any]:
    for name, outputs in OUTPUTS.items():
        for output, target in outputs.items():
            for given, path in INPUTS[name].items():
                for way in WAYS:
                    is_image = target.endswith(".png") or output in ("--json", "--report", "--calib-cache")
                    if path.endswith("/") and (is_image or way not in (same, other_case)):
                        yield pytest.param(name, output, given, way, id=f"{name} {output} {given} {way.__name__}")


def refused(name: str, output: str, target: Path, given: str = "", value: Path | None = None) -> None:
    """Run a command in which the input `given` has this value; everything stays and a sentence says why."""
    values = {**INPUTS[name], **({given: str(value)} if value is not None else {})}
    if given == CHECKPOINTS.get(name):
        values = {key: path for key, path in values.items() if key not in ("--engine", "--metadata")}
    for path in map(Path, values.values()):
        if str(path) in ("d", "v"):
            path.mkdir(exist_ok=True)
        elif not path.exists():
            path.write_bytes(b"input")
    words = [word for key, path in values.items() for word in ([path] if key.isupper() else [key, path])]
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = CliRunner().invoke(main_of(name), [*words, output, str(target), *MORE.get(name, [])])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith(f"error: {output} {target}") and " is one of the inputs" in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("name", "output", "given", "way"), list(file_cases()))
def test_a_file(here: Path, name: str, output: str, given: str, way: Callable[[Path, Path], Path]) -> None:
    target = Path(OUTPUTS[name][output])
    target.write_bytes(b"input")
    value = way(target, Path("given" + target.suffix))
    refused(name, output, target, given, value)


@pytest.mark.parametrize(("name", "output", "given", "way"), list(folder_cases()))
def test_an_image_in_a_folder(
    here: Path, name: str, output: str, given: str, way: Callable[[Path, Path], Path]
) -> None:
    folder = Path(INPUTS[name][given], "below")
    folder.mkdir(parents=True)
    target = Path(OUTPUTS[name][output])
    if way is same:
        target = folder / "x.png"
    if way is other_case:
        (folder / "x.png").write_bytes(b"input")
        target = folder / "X.PNG"
    else:
        target.write_bytes(b"input")
        way(target, folder / "x.png")
    refused(name, output, target)


OPTIONS = [(name, output) for name, outputs in OUTPUTS.items() for output in outputs]


@pytest.mark.parametrize(("name", "output"), OPTIONS)
def test_a_suffix_in_capitals(here: Path, name: str, output: str) -> None:
    """It is taken, so what is refused is the overwriting."""
    given = next(given for given, path in INPUTS[name].items() if not path.endswith("/"))
    target = Path(OUTPUTS[name][output].upper())
    refused(name, output, target, given, target)


@pytest.mark.parametrize("target", ["out/", "there/", "out/.", "..", ""])
@pytest.mark.parametrize(("name", "output"), OPTIONS)
def test_the_name_of_a_folder(here: Path, name: str, output: str, target: str) -> None:
    Path("there").mkdir()
    values = INPUTS[name]
    for path in values.values():
        Path(path).mkdir(exist_ok=True) if path.endswith("/") else Path(path).write_bytes(b"input")
    words = [word for key, path in values.items() for word in ([path] if key.isupper() else [key, path])]
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(main_of(name), [*words, output, target])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"expected the name of a file, got '{target}'" in " ".join(result.stderr.split())
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(("name", "output"), [("bench", "--json"), ("infer", "--json"), ("diff", "--report")])
def test_what_is_read_with_a_plan(here: Path, name: str, output: str) -> None:
    """Whether it is there or not: the next command would take it for what belongs to the plan."""
    refused(name, output, Path("x.plan.json"), "--engine", Path("x.plan"))


def test_what_is_read_with_a_checkpoint(here: Path) -> None:
    refused("eval", "--json", Path("x.json"), "--weights", Path("x.pth"))
    refused("export", "--calib-cache", Path("x.json"), "--weights", Path("x.pth"))


def test_what_is_written_with_a_plan_and_a_cache(here: Path) -> None:
    refused("build", "--output", Path("a.plan"), "--engine", Path("a.plan.json"))
    refused("export", "--calib-cache", Path("a.cache"), "--verify", Path("a.cache.partial"))


def test_a_folder_of_sources(here: Path) -> None:
    Path("d").mkdir()
    Path("d/x.png").write_bytes(b"input")
    refused("infer", "--json", Path("d/X.png"), "SOURCES", Path("d"))
    refused("bench", "--json", Path("d/x.png"), "IMAGE", Path("d"))


def test_what_is_no_image_in_a_folder_of_images_is_written(here: Path) -> None:
    """A report beside the images of an earlier run is replaced; the command goes on and fails at its first input."""
    Path("d").mkdir()
    Path("d/a.html").write_bytes(b"earlier")
    for path in ("e.onnx", "r.onnx"):
        Path(path).write_bytes(b"input")
    words = ["--engine", "e.onnx", "--reference", "r.onnx", "--data", "d", "--report"]
    for report in ("d/a.html", "d/new.png"):
        result = CliRunner().invoke(main_of("diff"), [*words, report])
        assert result.exit_code == 1 and "the folder holds no image" in result.stderr


TRAINED = {
    "weights": ["--weights", "run/yolact_demo_0_6.pth", "--data", "scenes:3"],
    "weights in other letters": ["--weights", "run/YOLACT_demo_0_6.PTH", "--data", "scenes:3"],
    "weights by a link": ["--weights", "link.pth", "--data", "scenes:3"],
    "annotations": ["--data", "run/yolact_demo_2_7_interrupt.json,images"],
    "validation": ["--data", "scenes:3", "--val", "run/state.pth,images"],
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_training(here: Path, name: str) -> None:
    Path("run").mkdir()
    Path("link.pth").symlink_to("run/yolact_demo_0_6.pth")
    words = ["--config", "yolact_demo", "--output", "run", "--device", "cpu", *TRAINED[name]]
    for option in ([], ["--resume"]):
        result = CliRunner().invoke(main_of("train"), [*words, *option])
        if option and "weights" in name:  # which a resumed run does not read
            assert "there is no run/state.pth to resume from" in result.stderr
        elif name != "validation" or option:
            assert result.exit_code == 2 and "would replace " in result.stderr, result.output
    assert list(Path("run").iterdir()) == []
