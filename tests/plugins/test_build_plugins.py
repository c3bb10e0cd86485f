"""`yolact-build-plugins` and what it builds on: most of it with a tiny project of the same form, without CUDA."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner, Result
from installations import copy_sources
from made_once import MakeOnce
from plugin_libraries import ARCH, built_libraries
from repository import ROOT
from tiny_plugins import DOES_NOT_COMPILE, NEVER_DONE, tiny_tools, write_sources, write_toolkit

from yolact.cli.build_plugins import main
from yolact.plugins import build as module
from yolact.plugins.build import BadRequest, BuildFailed, build, choose_archs, find_tools
from yolact.runtime.file_lock import FileLock

KERNELS, DESCRIPTION = "libyolact_kernels.so", "library.json"
LIBRARIES = [KERNELS, "libyolact_plugins.so", "libyolact_plugins_registered.so", "rtx/libtensorrt_rtx.so"]
FILES = [*LIBRARIES, DESCRIPTION]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "SOURCES", write_sources(tmp_path / "sources"))
    return tmp_path / "sources"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_built_and_for_what(sources: Path, tmp_path: Path) -> None:
    lib = tmp_path / "a" / "lib"
    assert build("sm_90,sm_86,sm_90", lib, tiny_tools()) == [lib / name for name in LIBRARIES]
    assert b"archs: 90-real 86-real 90-virtual." in (lib / KERNELS).read_bytes()
    assert json.loads((lib / DESCRIPTION).read_text()) == {"archs": ["sm_90", "sm_86"], "ptx": "sm_90"}
    (lib / "of somebody else").write_text("stays")
    assert build("all", lib, tiny_tools()) == [lib / name for name in LIBRARIES]
    assert sorted(contents(lib)) == sorted([*FILES, "of somebody else"])
    assert b"archs: 75-real 86-real 90-real 90-virtual." in (lib / KERNELS).read_bytes()
    assert json.loads((lib / DESCRIPTION).read_text())["archs"] == ["sm_75", "sm_86", "sm_90"]


def test_what_a_killed_build_left_is_removed(sources: Path, tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    for name in (".building-dead", ".building-alive", ".building-without-a-lock"):
        (lib / name / "lib").mkdir(parents=True)
    (lib / ".building-dead" / ".lock").touch()
    alive = FileLock(lib / ".building-alive" / ".lock", os.O_CREAT)
    build("sm_86", lib, tiny_tools())
    alive.release()
    assert {path.name for path in lib.glob(".building*")} == {".building-alive", ".building-without-a-lock"}


def test_steps(sources: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    build("sm_86", tmp_path / "lib", tiny_tools(), progress=steps.append)
    assert (steps[0], steps[1], steps[-1]) == ("configuring", "compiling", "installing")
    assert steps[-2] == "compiling 100%" and len(steps) > 4


def test_a_set_is_installed_whole(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever signal comes while the files are moved; the last of them ends the build after that."""
    lib, numbers = tmp_path / "lib", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    coming = list(numbers)
    build("sm_86", lib, tiny_tools())
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> Path:
        if coming:
            signal.raise_signal(coming.pop(0))
        return replace(path, target)

    def handler(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    monkeypatch.setattr(Path, "replace", interrupted)
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        with pytest.raises(KeyboardInterrupt, match=f"^{int(signal.SIGHUP)}$"):
            build("sm_90", lib, tiny_tools())
        assert coming == [] and [signal.getsignal(number) for number in numbers] == [handler] * 3
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
    assert sorted(contents(lib)) == sorted(FILES)
    assert all(b"90" in data for data in contents(lib).values())


def test_a_failed_build_leaves_what_was_there(sources: Path, tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    build("sm_86", lib, tiny_tools())
    before = contents(lib)
    write_sources(sources, DOES_NOT_COMPILE)
    with pytest.raises(BuildFailed, match=r"the sources do not compile \(exit code \d\)") as caught:
        build("sm_90", lib, tiny_tools())
    assert "konst" in caught.value.log and len(caught.value.log.splitlines()) <= 40
    assert contents(lib) == before and sorted(contents(lib)) == sorted(FILES)
    with pytest.raises(BuildFailed):
        build("sm_90", tmp_path / "new", tiny_tools())
    assert not (tmp_path / "new").exists()


SIGNALS = [
    (signal.SIGINT, 130, "interrupted\n"),
    (signal.SIGTERM, 143, "terminated\n"),
    (signal.SIGHUP, -signal.SIGHUP, ""),
]


@pytest.mark.parametrize(("number", "code", "message"), SIGNALS)
def test_an_interrupted_build_leaves_what_was_there(
    sources: Path, tmp_path: Path, number: signal.Signals, code: int, message: str
) -> None:
    """And no compiler keeps running, nor stay temporary folders."""
    lib, mark = tmp_path / "lib", tmp_path / "mark"
    build("sm_86", lib, tiny_tools())
    before = contents(lib)
    write_sources(sources, NEVER_DONE)
    program = (
        "import sys\nfrom pathlib import Path\nfrom yolact.plugins import build\n"
        f"build.SOURCES = Path({str(sources)!r})\nfrom yolact.cli.build_plugins import main\nmain()"
    )
    command = [sys.executable, "-c", program, "--arch", "sm_86", "--output", lib]
    environment = os.environ | {"CUDA_HOME": str(write_toolkit(tmp_path / "cuda")), "MARK": str(mark)}
    environment["TMPDIR"] = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 60
        while not (mark.is_file() and mark.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(number)
        stderr = running.communicate(timeout=60)[1]
    assert (running.returncode, stderr) == (code, message)
    assert contents(lib) == before and sorted(contents(lib)) == sorted(FILES)
    assert not any((tmp_path / "temporary").iterdir())
    state = Path(f"/proc/{int(mark.read_text())}/stat")
    while state.is_file() and " Z " not in state.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not state.is_file() or " Z " in state.read_text()


ARCHS = {
    "unknown": ("sm_42", "nvcc builds for sm_86, sm_90, got architecture 'sm_42'$"),
    "no prefix": ("86", "got architecture '86'; write sm_86$"),
    "PTX": ("compute_90", "got architecture 'compute_90'$"),
    "one of several": ("sm_86,sm_1", "got architecture 'sm_1'$"),
    "an option": ("-DX=1", "got architecture '-DX=1'$"),
    "the GPU at hand": ("native", "got architecture 'native'$"),
    "empty": ("", "expected all or architectures such as sm_86,sm_89, got ''$"),
    "nothing but commas": (" , ", "expected all or architectures"),
}
KNOWN = module.Tools(Path("nvcc"), Path("cmake"), ("sm_86", "sm_90"))


@pytest.mark.parametrize("name", ARCHS)
def test_rejected_architectures(name: str) -> None:
    asked, message = ARCHS[name]
    with pytest.raises(BadRequest, match=message):
        choose_archs(asked, KNOWN)


def test_empty_parts_of_a_list_are_nothing() -> None:
    assert choose_archs(" sm_90,, sm_86 ,", KNOWN) == ("sm_90", "sm_86")


@pytest.mark.parametrize("folder", ["/proc/self", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_to(sources: Path, folder: str) -> None:
    with pytest.raises(BuildFailed, match=f"^cannot write into {folder}: [^/]*; give another folder$"):
        build("sm_86", Path(folder), tiny_tools())


def test_a_folder_without_sources(sources: Path, tmp_path: Path) -> None:
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


CUDARTS = {
    "pip": (["lib/libcudart.so.13"], "lib/libcudart.so.13"),
    "the toolkit": (["lib64/libcudart.so", "lib64/libcudart.so.13", "lib/libcudart.so.13"], ""),
    "conda": (["lib/libcudart.so", "lib/libcudart.so.13"], ""),
    "none": ([], ""),
}


@pytest.mark.parametrize("name", CUDARTS)
def test_the_cuda_runtime_of_pip(tmp_path: Path, name: str) -> None:
    """CMake does not find it by itself: there is no libcudart.so."""
    files, found = CUDARTS[name]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    script = tmp_path / "script.cmake"
    script.write_text(
        f'set(CMAKE_CUDA_COMPILER "{tmp_path}/bin/nvcc")\ninclude("{ROOT}/plugins/cmake/pip_cuda.cmake")\n'
        'yolact_find_cudart_of_pip()\nmessage("found ${CUDA_CUDART}.")\n'
    )
    done = subprocess.run([tiny_tools().cmake, "-P", script], capture_output=True, text=True, check=True)
    assert done.stderr == f"found {tmp_path / found if found else ''}.\n"
    assert "yolact_find_cudart_of_pip()\nfind_package(CUDAToolkit" in (ROOT / "plugins/CMakeLists.txt").read_text()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_says_what_it_built(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_tools()
    monkeypatch.setenv("CUDA_HOME", str(write_toolkit(tmp_path / "cuda")))
    lib = tmp_path / "lib"
    result = run("--arch", "all", "--output", lib, "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert "built for sm_75, sm_86, sm_90 and later in " in result.stdout and result.stderr == ""
    assert [line.split(": ")[0] for line in result.stdout.splitlines()[1:]] == [
        f"wrote {lib / name}" for name in LIBRARIES
    ]

    assert all(line.endswith(" kB") and not line.endswith(" 0 kB") for line in result.stdout.splitlines()[1:])

    write_sources(sources, DOES_NOT_COMPILE)
    result = run("--arch", "sm_86", "--output", lib)
    assert result.exit_code == 1 and "konst" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: the sources do not compile")


def test_progress_is_for_terminals(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_tools()
    monkeypatch.setenv("CUDA_HOME", str(write_toolkit(tmp_path / "cuda")))
    monkeypatch.setattr("yolact.cli.build_plugins._is_terminal", lambda: True)
    steps = run("--arch", "sm_86", "--output", tmp_path / "lib").stderr.split("\r")  # click drops what clears the line
    assert steps[:3] == ["", "configuring", "compiling"] and "compiling 100%" in steps
    assert steps[-2:] == ["installing", ""]


REJECTED = {
    "architecture": (["--arch", "sm_42"], "builds for sm_75, sm_86, sm_90, got architecture 'sm_42'"),
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


def make_wheel(tmp_path: Path, archs: str, nvcc: str | None = None) -> subprocess.CompletedProcess[str]:
    """From a copy of the repository with the tiny sources, in which two earlier builds left libraries."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools is old -- pip install -U setuptools")
    tiny_tools()
    copy = copy_sources(tmp_path / "copy")
    write_sources(copy / "plugins")
    for stale in (copy / "plugins/lib", copy / "build/lib/yolact/plugins/lib"):
        stale.mkdir(parents=True)
        for name in ("libyolact_kernels.so", "libyolact_stale.so"):
            (stale / name).write_text("stale")
    environment = os.environ | {"CUDA_HOME": str(write_toolkit(tmp_path / "cuda")), "YOLACT_PLUGIN_ARCHS": archs}
    if nvcc is not None:
        (tmp_path / "cuda/bin/nvcc").write_text(nvcc)
    command = [sys.executable, "-c", WHEEL, tmp_path]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


REQUIRED = {
    "no nvcc": ("sm_90", "#!/bin/sh\nexit 3\n", "nvcc does not run (exit code 3)"),
    "another architecture": ("sm_42", None, "builds for sm_75, sm_86, sm_90, got architecture 'sm_42'"),
    "the GPU at hand": ("native", None, "builds for sm_75, sm_86, sm_90, got architecture 'native'"),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_architectures_that_are_asked_for_are_required(tmp_path: Path, name: str) -> None:
    archs, nvcc, message = REQUIRED[name]
    done = make_wheel(tmp_path, archs, nvcc)
    assert done.returncode != 0 and not list(tmp_path.glob("*.whl"))
    assert "yolact: the CUDA library for YOLACT_PLUGIN_ARCHS was not built (" in done.stderr and message in done.stderr


@pytest.mark.parametrize("possible", [True, False])
def test_wheels(tmp_path: Path, possible: bool) -> None:
    """With the library where it can be built, else with its sources, which `yolact-build-plugins` then finds."""
    done = make_wheel(tmp_path, "sm_90", None) if possible else make_wheel(tmp_path, "", "#!/bin/sh\nexit 3\n")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("yolact/plugins/")}
        if possible:
            assert b"archs: 90-real 90-virtual." in archive.read(f"yolact/plugins/lib/{KERNELS}")
            assert b'["sm_90"]' in archive.read(f"yolact/plugins/lib/{DESCRIPTION}")
    assert {f"yolact/plugins/{name}" for name in ("CMakeLists.txt", "build.py")} <= names
    files = [path for path in (ROOT / "plugins").glob("*/*") if path.is_file() and path.suffix != ".pyc"]
    files = [path for path in files if path.parent.name != "lib"]
    expected = {f"yolact/{path.relative_to(ROOT)}" for path in files if path.name != "README.md"}
    packed = {name.removeprefix("yolact/plugins/lib/") for name in names if name.startswith("yolact/plugins/lib/")}
    assert expected <= names and packed == (set(FILES) if possible else set())
    assert ("-py3-none-any.whl" in wheel.name) == (not possible) and "-py3-none-" in wheel.name
    assert ("yolact: the CUDA library was not built (" in done.stdout) == (not possible)
    assert ("nvcc does not run (exit code 3)); once that is mended, run yolact-build-plugins" in done.stdout) == (
        not possible
    )


def test_the_real_sources(make_once: MakeOnce) -> None:
    folder = built_libraries(make_once)
    assert ARCH.encode() in (folder / KERNELS).read_bytes()
    assert json.loads((folder / DESCRIPTION).read_text()) == {"archs": [ARCH], "ptx": ARCH}
