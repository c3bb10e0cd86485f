"""Builds the library of CUDA kernels and the TensorRT plugins from the sources beside this file.

setup.py runs this file before the package can be imported, so it needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).resolve().parent
LIBRARY_FOLDER = SOURCES / "lib"
"""Where the toolkit looks for what was built."""

KERNELS, PLUGINS = Path("libyolact_kernels.so"), Path("libyolact_plugins.so")
LIBRARIES = (KERNELS, PLUGINS, Path("libyolact_plugins_registered.so"), Path("rtx/libtensorrt_rtx.so"))
"""All that a build may install, relative to the folder."""

ARCHS = tuple(f"sm_{number}" for number in (75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121))
"""What "all" stands for, as far as the nvcc at hand knows them."""

HOW_TO_GET_HEADERS = (
    "TensorRT's C++ headers (NvInferRuntime.h, 10.0 or later) were not found: install libnvinfer-headers-dev, or give "
    "the folder include of github.com/NVIDIA/TensorRT, at your version's tag, with --tensorrt-include"
)

_USUAL_CUDA = Path("/usr/local/cuda")
_LAST_LINES = 40


class BuildFailed(Exception):
    """A library that could not be built.

    Attributes:
        log: the last lines of what failed.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class BadRequest(BuildFailed):
    """A request that cannot be met: an unknown architecture, a folder without headers."""


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
    """nvcc of CUDA_HOME, PATH, the usual folder or pip, and cmake. Raises BuildFailed with how to get what lacks."""
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
    return Tools(Path(nvcc), Path(cmake), tuple(name for name in listed if name.startswith("sm_")))


def choose_archs(asked: str, tools: Tools) -> tuple[str, ...]:
    """``all`` or a list like ``sm_86,sm_89``, as architectures. Raises BadRequest for what nvcc does not know."""
    if asked == "all":
        return tuple(arch for arch in ARCHS if arch in tools.archs)
    archs = tuple(dict.fromkeys(part.strip() for part in asked.split(",")))
    for arch in archs:
        if arch not in tools.archs:
            raise BadRequest(f"{tools.nvcc} builds for {', '.join(tools.archs)}, got architecture {arch!r}")
    return archs


def build(asked: str, output: Path, tools: Tools, include: Path | None = None, jobs: int | None = None) -> list[Path]:
    """Build and install the libraries.

    Args:
        asked: architectures, see `choose_archs`; ``all`` adds PTX for later ones.
        output: folder to install into; on any failure what it holds stays.
        tools: from `find_tools`.
        include: folder of TensorRT's headers, None to search the usual ones.
        jobs: compilers at a time, None for as many as there are processors.

    Returns the files written; without TensorRT's headers only the kernels are among them.
    Raises BuildFailed, and BadRequest where the arguments are wrong.
    """
    archs = choose_archs(asked, tools)
    if include is not None and not (include / "NvInferRuntime.h").is_file():
        raise BadRequest(f"{include} has no NvInferRuntime.h, so it is no folder of TensorRT's headers")
    if not (SOURCES / "CMakeLists.txt").is_file():
        raise BuildFailed(f"{SOURCES} has no sources to build from; install yolact from its repository")
    created = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="yolact-plugins-") as work,
            tempfile.TemporaryDirectory(prefix=".building-", dir=output) as staging,  # renaming needs one file system
        ):
            _compile(tools, archs, asked == "all", include, Path(work), Path(staging), jobs or os.cpu_count() or 1)
            return _install(Path(staging) / "lib", output)
    finally:
        if created:
            with contextlib.suppress(OSError):  # it is not empty: the build succeeded
                output.rmdir()


def _compile(
    tools: Tools, archs: tuple[str, ...], ptx: bool, include: Path | None, work: Path, prefix: Path, jobs: int
) -> None:
    targets = [f"{arch[3:]}-real" for arch in archs]
    if ptx:
        targets.append(f"{max(int(arch[3:]) for arch in archs)}-virtual")
    configure: list[str | Path] = [
        *(tools.cmake, "-S", SOURCES, "-B", work),
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        f"-DCMAKE_CUDA_COMPILER={tools.nvcc}",
        f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(targets)}",
    ]
    if include is not None:
        configure.append(f"-DTENSORRT_INCLUDE_DIR={include.resolve()}")
    _run(configure, "cmake could not prepare the build")
    _run([tools.cmake, "--build", work, "--parallel", str(jobs)], "the sources do not compile")
    _run([tools.cmake, "--install", work, "--prefix", prefix], "cmake could not install what it built")


def _install(built: Path, output: Path) -> list[Path]:
    """Move what was built into the folder; what an earlier build left there and this one did not make goes."""
    if not (built / KERNELS).is_file():
        raise BuildFailed(f"the build made no {KERNELS}; report this")
    for name in LIBRARIES:
        if (built / name).is_file():
            (output / name).parent.mkdir(exist_ok=True)
            (built / name).replace(output / name)
        else:
            (output / name).unlink(missing_ok=True)
    return [output / name for name in LIBRARIES if (output / name).is_file()]


def _run(command: list[str | Path], failure: str) -> str:
    """What a program prints. Raises BuildFailed where it fails; it and its children end with this process's wait."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        child = subprocess.Popen(command, **pipes, text=True, errors="replace", start_new_session=True)  # type: ignore[call-overload]
    except OSError as error:
        raise BuildFailed(f"{failure}: {error.strerror}") from error
    try:
        printed: str = child.communicate()[0]
    except BaseException:  # Ctrl-C: cmake alone would leave its compilers running
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    if child.returncode:
        raise BuildFailed(f"{failure} (exit code {child.returncode})", "\n".join(printed.splitlines()[-_LAST_LINES:]))
    return printed
