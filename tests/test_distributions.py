"""What `make dist` has built: the wheel and the sources that it was built from."""

from __future__ import annotations

import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from installations import build_wheel, copy_sources, distribution, tracked_files
from repository import ROOMS, ROOT

import yolact

pytestmark = pytest.mark.dist

NAME = f"yolact-{yolact.__version__}"

WRITTEN_BY_THE_BUILD = {"PKG-INFO", "setup.cfg"}


def contents(wheel: Path) -> dict[str, bytes]:
    """Every file, without those that tell the version of what built the wheel."""
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith(("/WHEEL", "/RECORD"))]
        return {name: archive.read(name) for name in names}


def test_the_sources_build_the_wheel_that_the_clone_builds(tmp_path: Path) -> None:
    """`make dist` builds the wheel from the sources, this test builds one from the clone."""
    build_wheel(copy_sources(tmp_path / "clone"), tmp_path)
    (ours,) = tmp_path.glob("*.whl")
    built = distribution("*.whl")
    assert built.name == ours.name == f"{NAME}-py3-none-any.whl"
    assert contents(built) == contents(ours)


def test_the_sources_are_files_of_the_clone() -> None:
    with tarfile.open(distribution("*.tar.gz")) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        assert all(member.isfile() and member.name.startswith(f"{NAME}/") for member in members)
        files = {
            name: archive.extractfile(member).read()  # type: ignore[union-attr]  # it is a file
            for member in members
            if not (name := member.name.removeprefix(f"{NAME}/")).startswith("yolact.egg-info/")
        }
    tracked = set(tracked_files())
    assert files.keys() - tracked == WRITTEN_BY_THE_BUILD
    assert all(content == (ROOT / name).read_bytes() for name, content in files.items() if name in tracked)
    pages = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", *tracked_files("docs")}
    sources = {name for name in tracked_files(*ROOMS) if not name.endswith(".md")}
    assert pages | sources | {"setup.py", "pyproject.toml", "MANIFEST.in"} == files.keys() - WRITTEN_BY_THE_BUILD
