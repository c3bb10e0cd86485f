"""The command `yolact-build-plugins`: the CUDA kernels and TensorRT plugins, compiled on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from yolact.cli.command import command, note, say
from yolact.cli.options.common import folder_option
from yolact.cli.options.values import AT_LEAST_1
from yolact.plugins.build import (
    LIBRARY_FOLDER,
    BadRequest,
    BuildFailed,
    Tools,
    build,
    choose_archs,
    find_tools,
)
from yolact.runtime.cuda.gpu import find_gpu, read_gpu
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.tensorrt.plugin_library import file_size


@command("yolact-build-plugins")
@click.option(
    "--arch",
    metavar="native|all|sm_86,...",
    help="GPUs to build for.  [default: native where there is a GPU, else all]",
)
@folder_option(None, "Folder for the libraries; the toolkit only looks into the default.  [default: in the package]")
@click.option("--jobs", type=AT_LEAST_1, help="Compilers that run at a time.  [default: one per processor]")
def main(arch: str | None, output: Path | None, jobs: int | None) -> None:
    """Build the CUDA kernels, and the TensorRT plugins that take the place of two ONNX functions.

    Needs nvcc, a C++ compiler and cmake, but neither TensorRT nor a GPU.

    Exit codes: 0 done, 1 something is missing or does not compile, 2 wrong usage, 130 interrupted.
    """
    start = time.perf_counter()
    try:
        tools = find_tools()
        asked = _native(arch)
        archs = choose_archs(asked, tools)
        files = _build_with_progress(asked, output or LIBRARY_FOLDER, tools, jobs)
    except BadRequest as error:
        raise UsageError(str(error)) from error
    except BuildFailed as error:
        if error.log:
            for line in error.log.splitlines():
                note(line)
        raise YolactError(str(error)) from error
    say(f"built for {', '.join(archs)} and later in {_seconds(start)} s")
    for file in files:
        say(f"wrote {file}: {file_size(file)}")


def _build_with_progress(asked: str, output: Path, tools: Tools, jobs: int | None) -> list[Path]:
    """Build; what is being done stands in one line of stderr, if that is a terminal."""
    if not _is_terminal():
        return build(asked, output, tools, jobs)

    def show(step: str) -> None:
        click.echo(f"\r\x1b[K{step}", err=True, nl=False)

    try:
        return build(asked, output, tools, jobs, show)
    finally:
        show("")


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _native(arch: str | None) -> str:
    """The request with the GPU at hand in place of `native`."""
    if arch is None:
        gpu = find_gpu()
        return gpu.arch if gpu else "all"
    if arch != "native":
        return arch
    try:
        return read_gpu().arch
    except EngineError as error:
        raise YolactError(f"--arch native finds no GPU ({error}); name the GPUs, such as --arch sm_86") from error


def _seconds(start: float) -> str:
    return f"{time.perf_counter() - start:.0f}"


if __name__ == "__main__":
    main()
