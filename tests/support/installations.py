"""Copies of the repository, and environments to install them in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from repository import ROOT


def copy_sources(clone: Path) -> Path:
    """Everything that an installation is made from, without what was built beside it."""
    for package in ROOT.glob("*/__init__.py"):
        name = package.parent.name
        shutil.copytree(package.parent, clone / name, ignore=shutil.ignore_patterns("lib", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, clone)
    return clone


def make_environment(folder: Path) -> Path:
    """The interpreter of a new virtual environment that finds this one's libraries, but not its `yolact`."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def pip(python: Path, *arguments: str | Path) -> None:
    """Run pip for this interpreter; the CUDA library is left out, since building it takes minutes."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *arguments]
    environment = os.environ | {"YOLACT_PLUGIN_ARCHS": "none"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def install(python: Path, *what: str | Path) -> None:
    """Install without the network: the libraries and setuptools are there already."""
    pip(python, "install", "--no-deps", "--no-build-isolation", "--no-index", *what)
