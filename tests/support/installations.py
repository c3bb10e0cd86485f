"""Copies of the repository, and environments to install them in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from repository import ROOMS, ROOT


def copy_sources(clone: Path) -> Path:
    """Everything that an installation is made from, without what was built beside it."""
    for name in ROOMS:
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("lib", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, clone)
    return clone


def build_wheel(clone: Path, folder: Path) -> str:
    """Build a wheel of a clone into a folder, without the CUDA library; returns what the build printed."""
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    environment = os.environ | {"YOLACT_PLUGIN_ARCHS": "none"}
    command = [sys.executable, "-c", build, folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=clone, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def distribution(pattern: str) -> Path:
    """The one file of `make dist` whose name matches."""
    found = list((ROOT / "dist").glob(pattern))
    if len(found) != 1:
        pytest.fail(f"expected one file {pattern} in dist/, got {len(found)}; run make dist")
    return found[0]


def tracked_files(*folders: str) -> list[str]:
    """Names of the files that git keeps in these folders, in all of them where none is named."""
    command = ["git", "ls-files", "--", *folders]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("this folder is no clone of git -- clone the repository")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def make_environment(folder: Path) -> Path:
    """The interpreter of a new virtual environment: with what the runtime and the commands need, without `yolact`."""
    venv.create(folder, symlinks=True)
    libraries = folder / "libraries"  # beside site-packages, as pip takes folders of mere links for empty ones
    libraries.mkdir()
    for pattern in ("click", "cv2", "numpy", "onnxruntime", "tqdm", "setuptools*", "_distutils_hack"):
        for entry in Path(sysconfig.get_path("purelib")).glob(pattern):
            (libraries / entry.name).symlink_to(entry)
    python = folder / "bin" / "python"
    (site_packages(python) / "libraries.pth").write_text(f"{libraries}\n")
    return python


def site_packages(python: Path) -> Path:
    """Where an environment's packages are."""
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    return site


def install(python: Path, *what: str | Path) -> None:
    """Install without the network, and without the CUDA library, which would take minutes."""
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "--python", python, "install", *options, *what]
    environment = os.environ | {"YOLACT_PLUGIN_ARCHS": "none"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
