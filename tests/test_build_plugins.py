"""`yolact-build-plugins` and what it builds on: most of it with a tiny project of the same form, without CUDA."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner, Result
from tiny_plugins import DOES_NOT_COMPILE, NEVER_DONE, tiny_tools, write_sources, write_toolkit

from yolact.plugins import build as module
from yolact.plugins.build import BadRequest, BuildFailed, build, choose_archs, find_tools
from yolact.plugins.build_cli import main

ROOT = Path(__file__).resolve().parents[1]
KERNELS, PLUGINS = "libyolact_kernels.so", "libyolact_plugins.so"


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "SOURCES", write_sources(tmp_path / "sources"))
    return tmp_path / "sources"


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    folder = tmp_path / "headers"
    folder.mkdir()
    (folder / "NvInferRuntime.h").touch()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_built_and_for_what(sources: Path, headers: Path, tmp_path: Path) -> None:
    lib = tmp_path / "a" / "lib"
    assert build("sm_90,sm_86,sm_90", lib, tiny_tools(), headers) == [lib / KERNELS, lib / PLUGINS]
    assert b"archs: 90-real 86-real." in (lib / KERNELS).read_bytes()
    (lib / "of somebody else").write_text("stays")
    # A plugin of an earlier build would not fit the kernels of this one.
    assert build("all", lib, tiny_tools()) == [lib / KERNELS]
    assert sorted(contents(lib)) == [KERNELS, "of somebody else"]
    assert b"archs: 75-real 86-real 90-real 90-virtual." in (lib / KERNELS).read_bytes()


def test_a_failed_build_leaves_what_was_there(sources: Path, tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    build("sm_86", lib, tiny_tools())
    before = contents(lib)
    write_sources(sources, DOES_NOT_COMPILE)
    with pytest.raises(BuildFailed, match=r"the sources do not compile \(exit code \d\)") as caught:
        build("sm_90", lib, tiny_tools())
    assert "konst" in caught.value.log and len(caught.value.log.splitlines()) <= 40
    assert contents(lib) == before and sorted(path.name for path in lib.iterdir()) == [KERNELS]
    with pytest.raises(BuildFailed):
        build("sm_90", tmp_path / "new", tiny_tools())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_leaves_what_was_there(
    sources: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """And no compiler keeps running."""
    lib, mark = tmp_path / "lib", tmp_path / "mark"
    build("sm_86", lib, tiny_tools())
    before = contents(lib)
    write_sources(sources, NEVER_DONE)
    program = (
        "import sys\nfrom pathlib import Path\nfrom yolact.plugins import build\n"
        f"build.SOURCES = Path({str(sources)!r})\nfrom yolact.plugins.build_cli import main\nmain()"
    )
    command = [sys.executable, "-c", program, "--arch", "sm_86", "--output", lib]
    environment = os.environ | {"CUDA_HOME": str(write_toolkit(tmp_path / "cuda")), "MARK": str(mark)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 60
        while not (mark.is_file() and mark.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(number)
        stderr = running.communicate(timeout=60)[1]
    assert running.returncode == code and stderr in ("interrupted\n", "terminated\n")
    assert contents(lib) == before and sorted(path.name for path in lib.iterdir()) == [KERNELS]
    state = Path(f"/proc/{int(mark.read_text())}/stat")
    while state.is_file() and " Z " not in state.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not state.is_file() or " Z " in state.read_text()


ARCHS = {
    "unknown": "sm_42",
    "empty": "",
    "no prefix": "86",
    "PTX": "compute_90",
    "one of several": "sm_86,sm_1",
    "an option": "-DX=1",
}


@pytest.mark.parametrize("name", ARCHS)
def test_rejected_architectures(name: str) -> None:
    tools = module.Tools(Path("nvcc"), Path("cmake"), ("sm_86", "sm_90"))
    with pytest.raises(BadRequest, match="nvcc builds for sm_86, sm_90, got architecture "):
        choose_archs(ARCHS[name], tools)


def test_folders_that_are_no_headers_or_sources(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"has no NvInferRuntime\.h"):
        build("sm_86", tmp_path / "lib", tiny_tools(), tmp_path)
    (sources / "CMakeLists.txt").unlink()
    with pytest.raises(BuildFailed, match="has no sources to build from"):
        build("sm_86", tmp_path / "lib", tiny_tools())
    assert not (tmp_path / "lib").exists()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither nvcc nor cmake."""
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_USUAL_CUDA", tmp_path / "nowhere")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))


def test_what_is_missing_is_named(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildFailed, match="there is no nvcc in CUDA_HOME or on PATH; install the CUDA toolkit"):
        find_tools()
    monkeypatch.setenv("CUDA_HOME", str(write_toolkit(tmp_path / "cuda")))
    with pytest.raises(BuildFailed, match="there is no cmake on PATH; install it with: pip install cmake"):
        find_tools()
    (tmp_path / "cmake").write_text("#!/bin/sh\n")
    (tmp_path / "cmake").chmod(0o755)
    found = find_tools()
    assert found == (tmp_path / "cuda/bin/nvcc", tmp_path / "cmake", ("sm_75", "sm_86", "sm_90"))
    (tmp_path / "cuda/bin/nvcc").write_text("#!/bin/sh\necho it is broken\nexit 3\n")
    with pytest.raises(BuildFailed, match=r"nvcc does not run \(exit code 3\)") as caught:
        find_tools()
    assert caught.value.log == "it is broken"


def test_nvcc_of_pip(bare: None, tmp_path: Path) -> None:
    write_toolkit(tmp_path / "nvidia" / "cu13")
    with pytest.raises(BuildFailed, match="there is no cmake"):
        find_tools()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_says_what_it_built(
    sources: Path, headers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_tools()
    monkeypatch.setenv("CUDA_HOME", str(write_toolkit(tmp_path / "cuda")))
    lib = tmp_path / "lib"
    result = run("--arch", "all", "--output", lib, "--tensorrt-include", headers, "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert "built for sm_75, sm_86, sm_90 and later in " in result.stdout and result.stderr == ""
    assert [line.split(": ")[0] for line in result.stdout.splitlines()[1:]] == [
        f"wrote {lib / name}" for name in (KERNELS, PLUGINS)
    ]

    result = run("--arch", "sm_86", "--output", lib)
    assert result.exit_code == 0 and "built for sm_86 in " in result.stdout and PLUGINS not in result.stdout
    assert "The plugins were not built, only the kernels" in result.stderr
    assert "libnvinfer-headers-dev" in result.stderr and "--tensorrt-include" in result.stderr

    write_sources(sources, DOES_NOT_COMPILE)
    result = run("--arch", "sm_86", "--output", lib)
    assert result.exit_code == 1 and "konst" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: the sources do not compile")


REJECTED = {
    "architecture": (["--arch", "sm_42"], "builds for sm_75, sm_86, sm_90, got architecture 'sm_42'"),
    "no headers": (["--arch", "sm_86", "--tensorrt-include", "."], "has no NvInferRuntime.h"),
    "no folder of headers": (["--tensorrt-include", "nowhere"], "'nowhere' does not exist"),
    "output is a file": (["--output", "file"], "'file' is a file"),
    "jobs": (["--jobs", "0"], "0 is not in the range x>=1"),
    "an argument": (["sm_86"], "unexpected extra argument"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_requests(sources: Path, here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    tiny_tools()
    monkeypatch.setenv("CUDA_HOME", str(write_toolkit(here / "cuda")))
    (here / "file").touch()
    arguments, message = REJECTED[name]
    result = run(*arguments, *([] if "--output" in arguments else ["--output", here / "lib"]))
    assert result.exit_code == 2 and message in result.stderr and result.stdout == "", result.output
    assert not (here / "lib").exists()


def test_native_without_a_gpu(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_tools()
    monkeypatch.setenv("CUDA_HOME", str(write_toolkit(here / "cuda")))
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    result = run("--arch", "native", "--output", here / "lib")
    assert result.exit_code == 1 and "--arch native finds no GPU (" in result.stderr
    assert "name the GPUs, such as --arch sm_86" in result.stderr


WHEEL = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.mark.parametrize("possible", [True, False])
def test_wheels(tmp_path: Path, possible: bool) -> None:
    """With the library where it can be built, else with its sources, which `yolact-build-plugins` then finds."""
    pytest.importorskip("setuptools", minversion="77", reason="needs setuptools 77 or later")
    tiny_tools()
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "plugins", copy / "plugins", ignore=shutil.ignore_patterns("lib", "__pycache__"))
    for folder in ("engines", "export", "runtime", "training"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy)
    write_sources(copy / "plugins")
    environment = os.environ | {"CUDA_HOME": str(write_toolkit(tmp_path / "cuda")), "YOLACT_PLUGIN_ARCHS": "sm_90"}
    if not possible:
        (tmp_path / "cuda/bin/nvcc").write_text("#!/bin/sh\nexit 3\n")
    command = [sys.executable, "-c", WHEEL, tmp_path]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("yolact/plugins/")}
        if possible:
            assert b"archs: 90-real." in archive.read(f"yolact/plugins/lib/{KERNELS}")
    assert {f"yolact/plugins/{name}" for name in ("CMakeLists.txt", "build.py", "py.typed")} <= names
    files = [path for path in (ROOT / "plugins").glob("*/*") if path.is_file() and path.suffix not in (".pyc", ".so")]
    expected = {f"yolact/{path.relative_to(ROOT)}" for path in files if path.name != "README.md"}
    assert expected <= names and (f"yolact/plugins/lib/{KERNELS}" in names) == possible
    assert ("-py3-none-any.whl" in wheel.name) == (not possible) and "-py3-none-" in wheel.name
    assert ("yolact: the CUDA library was not built (" in done.stdout) == (not possible)
    assert ("the plugins were not built, only the kernels" in done.stdout) == possible
    assert ("nvcc does not run (exit code 3)); once that is mended, run yolact-build-plugins" in done.stdout) == (
        not possible
    )


def test_the_real_sources(tmp_path: Path) -> None:
    if not (ROOT / "plugins" / "CMakeLists.txt").is_file():
        pytest.skip("the plugins' sources are not here")
    try:
        tools = find_tools()
    except BuildFailed as error:
        pytest.skip(str(error))
    files = build(choose_archs("all", tools)[1], tmp_path / "lib", tools)
    assert (tmp_path / "lib" / KERNELS) in files
    data = (tmp_path / "lib" / KERNELS).read_bytes()
    assert choose_archs("all", tools)[1].encode() in data
