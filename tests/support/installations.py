"""Copies of the repository, and environments to install them in."""

from __future__ import annotations

import shutil
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
