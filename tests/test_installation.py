"""What Python takes for `yolact`, by how it was installed and where it runs, and what type checkers see of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from documents import python_examples
from installations import copy_sources, install, make_environment, site_packages
from repository import ROOMS, ROOT

import yolact


class Installation(NamedTuple):
    """One way to install, in an environment of its own.

    Attributes:
        python: the environment's interpreter.
        clone: what was installed.
        package: the folder that `yolact` comes from.
    """

    python: Path
    clone: Path
    package: Path


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("clones") / "a clone by another name")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environments") / "installed")


@pytest.fixture(scope="module", params=["editable", "normal"])
def installed(request: pytest.FixtureRequest, python: Path, clone: Path) -> Installation:
    """One after the other in the same environment, so that the second has to remove the first."""
    if request.param == "editable":
        install(python, "-e", clone)
        return Installation(python, clone, clone / "build/editable/yolact")
    install(python, clone)
    return Installation(python, clone, site_packages(python) / "yolact")


FIND = (
    "import yolact, yolact.runtime.errors as room; from yolact import *; print(yolact.__file__); print(room.__file__)"
)


def find(python: Path, folder: Path, path: str = "", program: list[str] | None = None) -> list[Path]:
    """Files of the package and of a module in one of its rooms."""
    command = [python, *(program or ["-c", FIND])]
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


def test_folders_of_its_name_do_not_hide_it(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "empty/yolact").mkdir(parents=True)
    copy_sources(tmp_path / "clones/yolact")
    (tmp_path / "empty/script.py").write_text(FIND)
    expected = [installed.package / "__init__.py", installed.package / "runtime/errors.py"]
    for folder in (tmp_path, tmp_path / "empty", tmp_path / "clones"):
        assert find(installed.python, folder) == expected, folder
    assert find(installed.python, tmp_path, program=[str(tmp_path / "empty/script.py")]) == expected
    command = [installed.python.with_name("yolact"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "empty")
    assert (done.returncode, done.stdout) == (0, f"yolact, version {yolact.__version__}\n"), done.stderr


def test_the_working_directory_and_pythonpath_come_first(installed: Installation, tmp_path: Path) -> None:
    other = copy_sources(tmp_path / "yolact")
    expected = [other / "yolact/__init__.py", other / "runtime/errors.py"]
    assert find(installed.python, other) == find(installed.python, tmp_path, str(other)) == expected


def test_what_is_installed(installed: Installation) -> None:
    """An editable installation is the clone's files; a normal one is all modules, and leaves nothing of the former."""
    entries = {entry.name for entry in site_packages(installed.python).iterdir() if "yolact" in entry.name}
    modules = [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    inside = [installed.package.joinpath(*path.parts[path.parts[0] == "yolact" :]) for path in modules]
    assert [path for path in inside if not path.is_file()] == [] and len(inside) > 150
    if installed.package.is_relative_to(installed.clone):
        assert entries == {"__editable__.yolact-0.1.0.pth", "yolact-0.1.0.dist-info"}
        assert (installed.package / "runtime/errors.py").samefile(installed.clone / "runtime/errors.py")
    else:
        assert entries == {"yolact", "yolact-0.1.0.dist-info"}
        assert not list(installed.package.rglob("*.so"))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of the page about Python, at whose end type checkers say what they see."""
    (program,) = python_examples(ROOT / "docs/how-to/python.md")
    path = tmp_path_factory.mktemp("types") / "example.py"
    path.write_text(f"{program}\nreveal_type(found)\nreveal_type(masks)\nreveal_type(image)\n")
    return path


def test_mypy_sees_types(installed: Installation, example: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed.python, example.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=example.parent)  # where its cache stays
    assert done.returncode == 0, done.stdout + done.stderr
    found, masks, image = re.findall('Revealed type is "(.*)"', done.stdout)
    assert found == "yolact.runtime.detections.Detections" and "numpy.bool" in masks and "unsignedinteger" in image


@pytest.mark.parametrize("installed", ["normal"], indirect=True)
def test_pyright_sees_types(installed: Installation, example: Path) -> None:
    """In the installation that is recommended to those who use the package."""
    pytest.importorskip("pyright", reason="pyright is not installed -- pip install pyright")
    command = [sys.executable, "-m", "pyright", "--pythonpath", installed.python, "--outputjson", example.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=example.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    messages = [message["message"] for message in json.loads(done.stdout)["generalDiagnostics"]]
    found, masks, image = (message.partition(" is ")[2] for message in messages)
    assert found == '"Detections"' and "numpy.bool" in masks and "unsignedinteger" in image


def test_links_that_cannot_be_made_are_named(tmp_path: Path) -> None:
    clone = copy_sources(tmp_path / "clone")
    (clone / "build").write_text("a file where there should be a folder")
    build = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", build, tmp_path], capture_output=True, text=True, cwd=clone)
    assert done.returncode == 1 and not list(tmp_path.glob("*.whl"))
    assert done.stderr.splitlines()[-1].startswith(
        "yolact: an editable installation is made of symbolic links in build/"
    )


def test_a_clone_runs_without_an_installation(tmp_path: Path) -> None:
    python, clone = make_environment(tmp_path / "environment"), copy_sources(tmp_path / "clone")
    assert find(python, clone) == [clone / "yolact/__init__.py", clone / "runtime/errors.py"]
    done = subprocess.run([python, "-m", "yolact", "infer", "--version"], capture_output=True, text=True, cwd=clone)
    assert done.returncode == 0 and done.stdout.endswith(f"version {yolact.__version__}\n"), done.stderr


@pytest.fixture(scope="module")
def outdated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The interpreter of an environment where a clone was installed before it had `yolact/`, and that clone.

    Such an installation makes `yolact` a namespace package, in which it finds the rooms that there were.
    """
    folder = tmp_path_factory.mktemp("outdated")
    python, clone = make_environment(folder / "environment"), copy_sources(folder / "clone")
    (site_packages(python) / "yolact").mkdir()
    for room in ("calib", "engines", "export", "plugins", "runtime", "training"):
        (site_packages(python) / "yolact" / room).symlink_to(clone / room)
    return python, clone


OLD_MODULES = {
    "yolact-infer": "runtime.infer",
    "yolact-doctor": "runtime.doctor_cli",
    "yolact-bench": "runtime.bench.cli",
    "yolact-build": "engines.cli",
    "yolact-build-plugins": "plugins.build_cli",
    "yolact-diff": "calib.diff.cli",
    "yolact-export": "export.cli",
    "yolact-train": "training.train_cli",
}


@pytest.mark.parametrize("name", OLD_MODULES)
def test_commands_of_an_outdated_installation_say_how_to_mend_it(
    outdated: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    python, clone = outdated
    (tmp_path / name).write_text(f"from yolact.{OLD_MODULES[name]} import main\nmain()\n")
    as_script, as_module = [str(tmp_path / name), "--help"], ["-m", f"yolact.{OLD_MODULES[name]}", "--help"]
    for command in (as_script, as_module):
        done = subprocess.run([python, *command], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "") and len(done.stderr.splitlines()) == 1
        remedy = shlex.join([str(python), "-m", "pip", "install", "-e", str(clone)])
        assert done.stderr.startswith("error: yolact is found in ") and done.stderr.endswith(f"; run: {remedy}\n")


def test_a_library_of_an_outdated_installation_raises(outdated: tuple[Path, Path], tmp_path: Path) -> None:
    program = "from yolact.runtime.detector import Detector"
    done = subprocess.run([outdated[0], "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("ImportError: yolact is found in ")
