"""What all commands have in common, called as `yolact-x` and as `yolact x`."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from importlib import metadata
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from scripted_engine import write_photo

import yolact
from yolact.cli.command import Terminated
from yolact.cli.command import command as define_command
from yolact.cli.main import COMMANDS, main


def command(name: str) -> click.Command:
    """The command `yolact-<name>`."""
    found: click.Command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
    return found


def through_both_doors(name: str, *arguments: str) -> tuple[Result, Result]:
    """What `yolact-<name>` does, and what `yolact <name>` does."""
    own = CliRunner().invoke(command(name), arguments, prog_name=f"yolact-{name}")
    shared = CliRunner().invoke(main, [name, *arguments], prog_name="yolact")
    return own, shared


@pytest.mark.parametrize("name", COMMANDS)
def test_help_through_both_doors(name: str) -> None:
    own, shared = through_both_doors(name, "--help")
    assert (own.exit_code, shared.exit_code) == (0, 0)
    assert own.stdout.startswith(f"Usage: yolact-{name} [OPTIONS]") and "--version" in own.stdout
    assert "Exit codes: 0 " in own.stdout
    assert shared.stdout == own.stdout.replace(f"Usage: yolact-{name} ", f"Usage: yolact {name} ", 1)


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_errors_through_both_doors(name: str) -> None:
    own, shared = through_both_doors(name, "--helb")
    assert (own.exit_code, shared.exit_code) == (2, 2) and "Did you mean" in own.stderr and "--help" in own.stderr
    assert shared.stderr == own.stderr.replace(f"yolact-{name} ", f"yolact {name} ")


def test_every_script_is_listed_on_one_whole_line() -> None:
    scripts = {entry.name for entry in entry_points(group="console_scripts") if entry.value.startswith("yolact.")}
    assert scripts == {"yolact", *(f"yolact-{name}" for name in COMMANDS)}
    listed = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= 80 for line in listed)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["exprot"], "There is no command exprot. Did you mean export?"),
        (["yolact-infer", "--help"], "There is no command yolact-infer. Did you mean infer?"),
        (["build_plugins"], "There is no command build_plugins. Did you mean build-plugins?"),
        (["help"], "error: There is no command help; "),
        (["--verison"], "No such option '--verison'. Did you mean '--version'?"),
    ],
)
def test_what_is_no_command(words: list[str], answer: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and answer in result.stderr and result.stdout == ""


@pytest.mark.parametrize("arguments", [["--version"], *([name, "--version"] for name in COMMANDS)])
def test_the_version_needs_no_installation(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (0, f"yolact, version {yolact.__version__}\n")


RENAMED = [
    ("build", "--onnx", "--engine"),
    ("diff", "--count", "--limit"),
    ("export", "--top-k", "--nms-top-k"),
    ("export", "--calib-count", "--calib-limit"),
    ("export", "--int8-target", "--int8-platform"),
    ("sensitivity", "--onnx", "--engine"),
    ("sensitivity", "--calib-count", "--calib-limit"),
    ("sensitivity", "--distance-count", "--limit"),
    ("sensitivity", "--int8-target", "--int8-platform"),
    ("train", "--out", "--output"),
]


@pytest.mark.parametrize(("name", "old", "new"), RENAMED)
def test_an_old_name_of_an_option_tells_the_new_one(name: str, old: str, new: str) -> None:
    for arguments in ([old, "1"], [f"{old}=1"]):
        own, shared = through_both_doors(name, *arguments)
        assert (own.exit_code, own.stdout) == (2, "")
        assert own.stderr == f"error: {old} is called {new} now; see yolact-{name} --help\n"
        assert shared.exit_code == 2 and shared.stderr.startswith(
            f"error: {old} is called {new} now; see yolact {name} "
        )
    assert any(new in parameter.opts for parameter in command(name).params)


@pytest.mark.parametrize(
    ("name", "arguments", "package", "reason"),
    [
        (
            "export",
            ["--weights", "w.pth"],
            "onnx",
            "exporting needs onnx; install it with: pip install -e '.[export]'",
        ),
        ("export", ["--weights", "w.pth"], "torch", "exporting needs torch; install it with: pip "),
        ("train", ["--config", "a", "--data", "b"], "tensorboard", "training needs tensorboard; install it with: pip "),
    ],
)
def test_missing_packages(
    name: str, arguments: list[str], package: str, reason: str, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(command(name), arguments)
    assert result.exit_code == 1 and result.stderr.startswith(f"error: {reason}") and result.stdout == ""
    assert not list(here.iterdir())


def test_too_little_memory_is_a_sentence() -> None:
    @define_command("yolact-big")
    def main() -> None:
        raise MemoryError

    result = CliRunner().invoke(main, [])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: there is not enough memory for this; ")


def test_inference_through_both_doors(engine: Path, here: Path) -> None:
    """Lines but for the times, pictures, JSON, and the failure of one source."""
    write_photo(Path("photo.png"))
    arguments = ["photo.png", "nowhere.jpg", "--engine", str(engine), "--json"]
    for door, folder in ((["yolact-infer"], "own"), (["yolact", "infer"], "shared")):
        Path(folder).mkdir()
        program = [Path(sys.executable).with_name(door[0]), *door[1:]]
        done = subprocess.run(
            [*program, *arguments, f"{folder}/found.json", "--output", folder], capture_output=True, text=True
        )
        assert done.returncode == 1
        Path(folder, "stderr").write_text(done.stderr)
        Path(folder, "stdout").write_text(re.sub(r"\d+\.\d ms", "ms", done.stdout).replace(folder, "folder"))
    for name in ("photo.png", "found.json", "stderr", "stdout"):
        assert Path("own", name).read_bytes() == Path("shared", name).read_bytes(), name
    assert json.loads(Path("own/found.json").read_text())[0]["detections"]
    assert "nowhere.jpg" in Path("own/stderr").read_text() and "photo.png: " in Path("own/stdout").read_text()


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt, 130), (Terminated, 143), (ValueError, None)])
def test_an_interrupt_while_a_class_is_made(interrupt: type[BaseException], code: int | None) -> None:
    """As in an import, for which PyTorch's take seconds; Python 3.11 puts a RuntimeError in its place."""

    class Descriptor:
        def __set_name__(self, owner: type, name: str) -> None:
            raise interrupt

    @define_command("yolact-test")
    def run() -> None:
        type("Made", (), {"attribute": Descriptor()})

    result = CliRunner().invoke(run)
    if code is None:
        assert isinstance(result.exception, (RuntimeError, ValueError))
    else:
        assert (result.exit_code, result.stderr) == (code, "interrupted\n" if code == 130 else "terminated\n")
