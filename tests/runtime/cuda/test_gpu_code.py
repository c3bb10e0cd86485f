"""Which GPUs the plugin library has code for, and what follows from it before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from yolact.cli.doctor import main as doctor_main
from yolact.engines.plugin_use import library_to_embed
from yolact.plugins import build
from yolact.runtime import doctor
from yolact.runtime.cuda.built_libraries import AMPERE_AND_LATER, DESCRIPTION, GpuCode, read_gpu_code
from yolact.runtime.cuda.gpu import Gpu
from yolact.runtime.errors import YolactError
from yolact.runtime.tensorrt import plugin_library
from yolact.runtime.tensorrt.plugin_library import PLUGINS, describe_library

T4, H200, THOR = Gpu("T4", "sm_75", "13.0"), Gpu("H200", "sm_90", "13.0"), Gpu("Thor", "sm_110", "13.0")

COVERED = {
    "its own": (("sm_86",), None, "sm_86", True),
    "a later one of the generation": (("sm_86",), None, "sm_89", True),
    "an earlier one of the generation": (("sm_86",), None, "sm_80", False),
    "the next generation": (("sm_86",), None, "sm_90", False),
    "three digits": (("sm_100",), None, "sm_103", True),
    "three digits, the next generation": (("sm_103",), None, "sm_110", False),
    "by PTX": (("sm_75",), "sm_75", "sm_120", True),
    "PTX of the same": ((), "sm_90", "sm_90", True),
    "PTX of a later one": (("sm_90",), "sm_90", "sm_89", False),
    "between the listed ones": (("sm_75", "sm_89"), "sm_89", "sm_86", False),
    "a Jetson, by its own": (("sm_87",), None, "sm_87", True),
    "a Jetson, by machine code for others": (("sm_86", "sm_89"), "sm_89", "sm_87", False),
    "a Jetson, by PTX": (("sm_86",), "sm_86", "sm_87", True),
    "others, by machine code for a Jetson": (("sm_87",), None, "sm_89", False),
}


@pytest.mark.parametrize("name", COVERED)
def test_what_is_covered(name: str) -> None:
    archs, ptx, arch, covered = COVERED[name]
    assert GpuCode(archs, ptx).covers(arch) == covered


def test_all_is_for_ampere_and_later() -> None:
    every = GpuCode(build.ARCHS, max(build.ARCHS, key=lambda arch: int(arch[3:])))
    assert every.lacking(()) == [] and every.lacking(("sm_75", "sm_87", "sm_130")) == []
    assert GpuCode(build.ARCHS, None).lacking(()) == ["later ones"]
    assert GpuCode(("sm_89",), "sm_89").lacking(()) == ["sm_80", "sm_86"]
    assert GpuCode(("sm_75",), None).lacking(()) == [*AMPERE_AND_LATER, "later ones"]


def test_in_words() -> None:
    assert str(GpuCode(("sm_75", "sm_86"), "sm_86")) == "sm_75, sm_86 and later"
    assert str(GpuCode(("sm_75", "sm_86"), None)) == "sm_75, sm_86"
    assert str(GpuCode(("sm_75",), "sm_90")) == "sm_75 and sm_90 and later"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With something that is called like the library."""
    monkeypatch.setattr(plugin_library, "LIBRARY_FOLDER", tmp_path)
    (tmp_path / "libyolact_plugins.so").write_bytes(b"\0" * 2345)
    return tmp_path


def write(folder: Path, *archs: str, ptx: str | None = None) -> None:
    (folder / DESCRIPTION).write_text(json.dumps({"archs": archs, "ptx": ptx}))


def test_the_folder_and_the_file_are_those_of_the_build() -> None:
    assert plugin_library.LIBRARY_FOLDER.resolve() == build.LIBRARY_FOLDER
    assert str(build.DESCRIPTION) == DESCRIPTION


DAMAGED = {
    "no JSON": "{",
    "no object": "[]",
    "no text": '"archs"',
    "nothing in it": "{}",
    "no PTX": '{"archs": ["sm_86"]}',
    "no list": '{"archs": "sm_86", "ptx": null}',
    "no architectures": '{"archs": [], "ptx": "sm_86"}',
    "numbers": '{"archs": [86], "ptx": null}',
    "another architecture": '{"archs": ["sm_86"], "ptx": "compute_86"}',
    "nested": "[" * 100000,
}


@pytest.mark.parametrize("name", ["missing", *DAMAGED])
def test_where_nothing_is_known(folder: Path, name: str) -> None:
    if name in DAMAGED:
        (folder / DESCRIPTION).write_text(DAMAGED[name])
    assert read_gpu_code(folder) is None
    library = folder / "libyolact_plugins.so"
    assert describe_library([T4]) == (
        True,
        f"{library}, 2 kB, for unknown GPUs, as library.json beside it is missing or damaged; build them here with: "
        "yolact-build-plugins",
    )
    with pytest.raises(YolactError, match=f"is unknown which GPUs {library} has code for, .*; build it again with: y"):
        library_to_embed(PLUGINS, ("sm_86",))


def test_the_doctor_looks_at_the_gpus_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "sm_86", "sm_90", ptx="sm_90")
    assert read_gpu_code(folder) == GpuCode(("sm_86", "sm_90"), "sm_90")
    assert describe_library([H200, THOR])[0] and describe_library([H200])[1].endswith(", for sm_86, sm_90 and later")
    gpus = [H200, T4, THOR]
    monkeypatch.setattr(doctor, "find_gpu", lambda index: gpus[index] if index < len(gpus) else None)
    (line,) = [line for line in CliRunner().invoke(doctor_main).stdout.splitlines() if line[4:12] == "plugins "]
    assert line.startswith("--  plugins           ") and line.endswith(
        "for sm_86, sm_90 and later, so not for T4 (sm_75); build them here with: yolact-build-plugins --arch sm_75"
    )


def test_embedding_for_gpus_that_are_covered(folder: Path) -> None:
    library = folder / "libyolact_plugins.so"
    write(folder, "sm_86", "sm_90")
    assert library_to_embed(PLUGINS, ("sm_86", "sm_90", "sm_89")) == library
    start = f"--plugins embed: the plan is for .*, and {library} has code for sm_86, sm_90, but not for "
    with pytest.raises(YolactError, match=f"{start}sm_75, sm_120; .* --arch sm_75,sm_86,sm_120$"):
        library_to_embed(PLUGINS, ("sm_75", "sm_86", "sm_120"))
    with pytest.raises(YolactError, match=f"{start}sm_80, sm_100, sm_120, later ones; .* --arch all$"):
        library_to_embed(PLUGINS, ())
    write(folder, "sm_80", ptx="sm_80")
    assert library_to_embed(PLUGINS, ()) == library
