"""Builds the library of CUDA kernels and the TensorRT plugins from the sources beside this file.

setup.py runs this before the package is installed, so this and what it imports need only the standard library.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolact.runtime.file_lock import FileInUse, FileLock, LockUnavailable
from yolact.runtime.json_text import to_json
from yolact.runtime.signals import KILLING, HeldSignals, unwound

SOURCES = Path(__file__).resolve().parent
LIBRARY_FOLDER = SOURCES / "lib"
"""The folder in which the toolkit looks for the built libraries."""

KERNELS, PLUGINS = Path("libyolact_kernels.so"), Path("libyolact_plugins.so")
LIBRARIES = (KERNELS, PLUGINS, Path("libyolact_plugins_registered.so"), Path("rtx/libtensorrt_rtx.so"))
"""All files that a build may install, relative to the folder."""

DESCRIPTION = Path("library.json")
"""The GPUs that the libraries have code for: ``{"archs": ["sm_86"], "ptx": "sm_86"}``; for `runtime/cuda/gpu.py`."""

ARCHS = tuple(f"sm_{number}" for number in (75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121))
"""The architectures that "all" stands for, as far as the installed nvcc knows them."""

_USUAL_CUDA = Path("/usr/local/cuda")
_LAST_LINES = 40
_STAGING, _LOCK = ".building-", ".lock"
_STEP = re.compile(r"\[\s*(\d+%|\d+/\d+)\]")  # of make and of ninja


class BuildFailed(Exception):
    """A library that could not be built.

    Attributes:
        log: the last lines of the failed command's output.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class BadRequest(BuildFailed):
    """A request that cannot be met: an architecture that is unknown."""


class Tools(NamedTuple):
    """The programs that build.

    Attributes:
        nvcc, cmake: their files.
        archs: architectures that this nvcc knows, such as ``sm_86``.
    """

    nvcc: Path
    cmake: Path
    archs: tuple[str, ...]


def find_tools() -> Tools:
    """Find nvcc (CUDA_HOME, PATH, the usual folder, pip) and cmake. Raises BuildFailed with the way to install them."""
    homes = [Path(value) for name in ("CUDA_HOME", "CUDA_PATH") if (value := os.environ.get(name))]
    places = [str(home / "bin") for home in homes] + [os.environ.get("PATH", ""), str(_USUAL_CUDA / "bin")]
    places += [str(folder) for entry in sys.path for folder in sorted(Path(entry).glob("nvidia/cu*/bin"))]
    nvcc = shutil.which("nvcc", path=os.pathsep.join(places))
    if nvcc is None:
        raise BuildFailed(
            "there is no nvcc in CUDA_HOME or on PATH; install the CUDA toolkit, or with pip: "
            "pip install nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-crt nvidia-nvvm nvidia-cuda-cccl"
        )
    cmake = shutil.which("cmake") or shutil.which("cmake", path=str(Path(sys.executable).parent))
    if cmake is None:
        raise BuildFailed("there is no cmake on PATH; install it with: pip install cmake")
    listed = _run([nvcc, "--list-gpu-code"], f"{nvcc} does not run").split()
    return Tools(Path(nvcc), Path(cmake), tuple(name for name in listed if re.fullmatch(r"sm_\d+", name)))


def choose_archs(asked: str, tools: Tools) -> tuple[str, ...]:
    """``all`` or a list like ``sm_86,sm_89``, as architectures. Raises BadRequest for one that nvcc does not know."""
    if asked == "all":
        return tuple(arch for arch in ARCHS if arch in tools.archs)
    archs = tuple(dict.fromkeys(part.strip() for part in asked.split(",") if part.strip()))
    if not archs:
        raise BadRequest(f"expected all or architectures such as sm_86,sm_89, got {asked!r}")
    for arch in archs:
        if arch not in tools.archs:
            advice = f"; write sm_{arch}" if f"sm_{arch}" in tools.archs else ""
            raise BadRequest(f"{tools.nvcc} builds for {', '.join(tools.archs)}, got architecture {arch!r}{advice}")
    return archs


def build(
    asked: str,
    output: Path,
    tools: Tools,
    jobs: int | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Path]:
    """Build and install the libraries, with PTX of the newest architecture for later ones.

    Args:
        asked: architectures, see `choose_archs`.
        output: folder to install into; a failure leaves its contents as they are.
        tools: from `find_tools`.
        jobs: compilers at a time, None for as many as there are processors.
        progress: is told the current step, such as ``compiling 40%``.

    Returns the libraries written. Raises BuildFailed, and BadRequest where the arguments are wrong.
    """
    archs = choose_archs(asked, tools)
    if not (SOURCES / "CMakeLists.txt").is_file():
        raise BuildFailed(f"{SOURCES} has no sources to build from; install yolact from its repository")
    with unwound(), tempfile.TemporaryDirectory(prefix="yolact-plugins-") as work, _staging(output) as staging:
        progress("configuring")
        _configure(tools, archs, Path(work))
        progress("compiling")
        compiled: list[str | Path] = [tools.cmake, "--build", work, "--parallel", str(jobs or os.cpu_count() or 1)]
        _run(compiled, "the sources do not compile", _watch(progress), work)
        progress("installing")
        _run([tools.cmake, "--install", work, "--prefix", staging], "cmake could not install what it built")
        with HeldSignals((signal.SIGINT, *KILLING)):
            return _install(staging / "lib", output, archs)


@contextlib.contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """A temporary folder inside the output, because files are only renamed within one file system.

    An output folder that is new is removed again where it stays empty.
    """
    created = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(output)
        folder = tempfile.TemporaryDirectory(prefix=_STAGING, dir=output)
        release = _lock(Path(folder.name))
    except OSError as error:
        raise BuildFailed(f"cannot write into {output}: {error.strerror}; give another folder") from error
    try:
        with folder as name:
            yield Path(name)
    finally:
        release()
        if created:
            with contextlib.suppress(OSError):  # it is not empty: the build succeeded
                output.rmdir()


def _lock(folder: Path) -> Callable[[], None]:
    """Lock a temporary folder, so that other builds see that it is in use. Returns the function that unlocks it."""
    try:
        return FileLock(folder / _LOCK, os.O_CREAT).release
    except LockUnavailable:  # then nobody removes the folder if this process is killed
        return lambda: None


def _remove_leftovers(output: Path) -> None:
    """Delete the temporary folders of builds that were killed: those whose lock nobody holds."""
    for folder in output.glob(f"{_STAGING}*"):
        with contextlib.suppress(FileInUse, LockUnavailable, OSError):
            lock = FileLock(folder / _LOCK)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _configure(tools: Tools, archs: tuple[str, ...], work: Path) -> None:
    targets = [*(f"{arch[3:]}-real" for arch in archs), f"{max(archs, key=_number)[3:]}-virtual"]
    command: list[str | Path] = [
        *(tools.cmake, "-S", SOURCES, "-B", work),
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        f"-DCMAKE_CUDA_COMPILER={tools.nvcc}",
        f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(targets)}",
    ]
    _run(command, "cmake could not prepare the build")


def _watch(progress: Callable[[str], None]) -> Callable[[str], None]:
    def watch(line: str) -> None:
        if step := _STEP.match(line):
            progress(f"compiling {step[1]}")

    return watch


def _install(built: Path, output: Path, archs: tuple[str, ...]) -> list[Path]:
    """Move the built files into the folder."""
    missing = [str(name) for name in LIBRARIES if not (built / name).is_file()]
    if missing:
        raise BuildFailed(f"the build made no {', '.join(missing)}; report this")
    (built / DESCRIPTION).write_text(to_json({"archs": archs, "ptx": max(archs, key=_number)}) + "\n")
    (output / DESCRIPTION).unlink(missing_ok=True)  # it never describes other libraries than those beside it
    for name in (*LIBRARIES, DESCRIPTION):
        (output / name).parent.mkdir(exist_ok=True)
        (built / name).replace(output / name)
    return [output / name for name in LIBRARIES]


def _number(arch: str) -> int:
    return int(arch[3:])


def _run(
    command: Sequence[str | Path],
    failure: str,
    watch: Callable[[str], None] = lambda line: None,
    scratch: str | None = None,
) -> str:
    """Run a program and return what it prints. `watch` gets each line as it comes.

    Where this process is interrupted, the program ends with all its children. Its temporary files go into `scratch`,
    because compilers that are killed leave theirs behind. Raises BuildFailed where the program fails.
    """
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    environment = None if scratch is None else os.environ | {"TMPDIR": scratch}
    try:
        child: Any = subprocess.Popen(command, **pipes, env=environment, start_new_session=True)
    except OSError as error:
        raise BuildFailed(f"{failure}: {error.strerror}") from error
    lines: list[str] = []
    with child:
        try:
            for line in child.stdout:
                lines.append(line)
                watch(line)
            child.wait()
        except BaseException:  # Ctrl-C: cmake alone would leave its compilers running
            with contextlib.suppress(ProcessLookupError):  # they are done
                os.killpg(child.pid, signal.SIGKILL)
            child.stdout.read()  # until the last of them is gone
            raise
    if child.returncode:
        raise BuildFailed(f"{failure} (exit code {child.returncode})", "".join(lines[-_LAST_LINES:]).rstrip())
    return "".join(lines)
