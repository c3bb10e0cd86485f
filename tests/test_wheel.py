"""What is in a wheel, and what it says of itself."""

from __future__ import annotations

import re
import sys
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from installations import build_wheel, copy_sources, tracked_files
from packaging.metadata import Metadata
from repository import ROOMS, ROOT

import yolact

STALE = "runtime/onnx_engine.py"
"""A module of long ago, which an earlier build has left behind."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that was built before, in a folder whose name nobody else has; with what its build printed."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = copy_sources(folder / "clone")
    left_over = clone / "build/lib/yolact" / STALE
    left_over.parent.mkdir(parents=True)
    left_over.write_text("")
    (folder / "printed.txt").write_text(build_wheel(clone, folder))
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, bytes]:
    """Contents by name."""
    (path,) = folder.glob("*.whl")
    with ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> Message:
    return BytesParser().parsebytes(files[f"yolact-{yolact.__version__}.dist-info/METADATA"])


def test_it_is_for_every_platform_without_the_cuda_library(folder: Path) -> None:
    assert [path.name for path in folder.glob("*.whl")] == [f"yolact-{yolact.__version__}-py3-none-any.whl"]
    assert "the CUDA library was left out, as YOLACT_PLUGIN_ARCHS says none" in (folder / "printed.txt").read_text()


def test_it_has_every_file_of_the_rooms_and_no_other(files: dict[str, bytes]) -> None:
    """Sources in CUDA, C and C++ are among them, as they are compiled where the wheel is installed."""
    rooms = [name for name in tracked_files(*ROOMS) if not name.endswith(".md")]
    expected = {name if name.startswith("yolact/") else f"yolact/{name}" for name in rooms}
    assert {name for name in files if ".dist-info/" not in name} == expected and f"yolact/{STALE}" not in expected
    suffixes = {Path(name).suffix for name in expected}
    assert {".py", ".typed", ".c", ".h", ".cpp", ".cu", ".cuh", ".cmake", ".map", ".html"} <= suffixes
    assert not suffixes & {".pth", ".safetensors", ".onnx", ".plan", ".so", ".pyc", ".ipynb"}
    for name in rooms:
        assert files[name if name.startswith("yolact/") else f"yolact/{name}"] == (ROOT / name).read_bytes()


def test_it_names_no_folder_of_the_machine(folder: Path, files: dict[str, bytes]) -> None:
    machine = {str(ROOT), str(folder), str(Path.home()), sys.prefix} - {"/"}
    assert [(name, path) for name, content in files.items() for path in machine if path.encode() in content] == []


def test_metadata_are_valid_and_complete(files: dict[str, bytes], metadata: Message) -> None:
    found = Metadata.from_email(files[f"yolact-{yolact.__version__}.dist-info/METADATA"], validate=True)
    assert (found.name, str(found.version)) == ("yolact", yolact.__version__)
    assert (found.license_expression, found.license_files) == ("MIT", ["LICENSE"])
    assert files[f"yolact-{yolact.__version__}.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert str(found.requires_python) == ">=3.10" and found.author and found.summary
    assert {"Typing :: Typed", "Programming Language :: Python :: 3"} <= set(found.classifiers or ())
    hosts = {url.split("/")[2] for url in (found.project_urls or {}).values()}
    assert hosts == {"arxiv.org", "github.com"} and "license" not in " ".join(found.classifiers or ()).lower()
    assert found.description_content_type == "text/markdown"


def test_extras_are_those_that_people_are_told_to_install(metadata: Message) -> None:
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(p for room in ROOMS for p in (ROOT / room).rglob("*.py")),
    ]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    brackets = re.findall(r"(?:'\.|yolact)\[([a-z,]+)\]", text)
    told = {extra for several in brackets for extra in several.split(",")}
    told |= set(re.findall(r'how_to_install\("(\w+)"\)', text))
    extras = set(metadata.get_all("Provides-Extra") or ())
    assert told <= extras and len(told) > 10


def test_the_description_is_readme_without_dead_links(metadata: Message) -> None:
    """An index shows the text alone, so what leads into the clone is left out, and every word of it stays."""
    text, readme = str(metadata.get_payload()), (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]*)\)", text)
    assert targets and all(target.startswith("https://") for target in targets)
    assert set(targets) == {target for target in re.findall(r"\]\(([^)]*)\)", readme) if target.startswith("https://")}
    headings = re.findall(r"^#+ .*$", readme, re.MULTILINE)
    assert re.findall(r"^#+ .*$", text, re.MULTILINE) == headings and headings


def test_images_are_built_from_what_an_installation_is_made_of(folder: Path) -> None:
    ignored, *lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert ignored == "*" and taken == {path.name for path in (folder / "clone").iterdir()} - {
        "build",
        "yolact.egg-info",
    }
