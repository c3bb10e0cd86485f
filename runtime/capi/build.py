"""Builds libyolact.so for the Python that runs this, and beside it the files that C and C++ builds look for.

python -m yolact.runtime.capi.build, or `make capi` in a clone.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from yolact.runtime.output_files import replacing

SOURCES = Path(__file__).resolve().parent
LIBRARY_FOLDER = SOURCES / "lib"
HEADER = SOURCES / "yolact.h"

_WARNINGS = ("-Wall", "-Wextra")

_PKG_CONFIG = """\
folder=${{pcfiledir}}

Name: yolact
Description: Instance masks from an exported YOLACT model
Version: {version}
Cflags: -I${{folder}}
Libs: -L${{folder}} -lyolact -Wl,-rpath,${{folder}}
"""

_CMAKE = """\
# find_package(yolact) with yolact_DIR at this folder, then target_link_libraries(... yolact::yolact)
set(yolact_VERSION {version})
if(NOT TARGET yolact::yolact)
    add_library(yolact::yolact SHARED IMPORTED)
    set_target_properties(yolact::yolact PROPERTIES
        IMPORTED_LOCATION "${{CMAKE_CURRENT_LIST_DIR}}/libyolact.so.{major}"
        IMPORTED_SONAME "libyolact.so.{major}"
        INTERFACE_INCLUDE_DIRECTORIES "${{CMAKE_CURRENT_LIST_DIR}}")
endif()
"""


_CMAKE_VERSION = """\
# Compatible with requests for this minor version or an earlier one of the same major version.
set(PACKAGE_VERSION {version})
if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION AND "${{PACKAGE_FIND_VERSION_MAJOR}}" STREQUAL "{major}")
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
        set(PACKAGE_VERSION_EXACT TRUE)
    endif()
endif()
"""


class BuildFailed(Exception):
    """Something the build needs is missing or does not compile; the message says what to do."""


def read_version() -> str:
    """The version in the header, such as ``0.1.0``."""
    return ".".join(re.findall(r"#define YOLACT_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", HEADER.read_text()))


def build(output: Path = LIBRARY_FOLDER, python: Path | None = None) -> list[Path]:
    """Compile the library and write the files beside it.

    Args:
        output: the folder; it can be moved as a whole afterwards.
        python: interpreter of the environment that the library starts; None: the one that runs this.

    Returns:
        The files, the library first.

    Raises:
        BuildFailed: there is no C compiler, no Python headers or no shared libpython, or the compiler failed.
    """
    compiler = _find_compiler()
    include, library = _find_python()
    version = read_version()
    major = version.split(".")[0]
    output.mkdir(parents=True, exist_ok=True)
    shared = output / f"libyolact.so.{major}"
    interpreter = str(python or sys.executable).replace("\\", "\\\\").replace('"', '\\"')
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread", *_WARNINGS]
    flags += shlex.split(os.environ.get("CFLAGS", ""))
    files = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    # nodelete: Python cannot be stopped, so the code that its threads may run stays even after dlclose.
    links = [f"-Wl,-soname,{shared.name}", "-Wl,--no-undefined", "-Wl,-z,nodelete", f"-Wl,-rpath,{library.parent}"]
    names = [f'-DYOLACT_PYTHON="{interpreter}"', f"-I{include}"]
    with tempfile.TemporaryDirectory(prefix="libyolact-") as work:
        built = Path(work) / shared.name
        _run([*compiler, *flags, *names, *files, "-o", str(built), *links, str(library), "-ldl"])
        with replacing(shared) as partial:  # a program that runs keeps the file it has
            shutil.copy(built, partial)
    return [shared, *_write_companions(output, shared, version)]


def _write_companions(output: Path, shared: Path, version: str) -> list[Path]:
    """The header, the name that linkers look for, and descriptions for pkg-config and CMake."""
    link, header = output / "libyolact.so", output / HEADER.name
    with replacing(link) as partial:
        partial.unlink()
        partial.symlink_to(shared.name)
    with replacing(header) as partial:
        shutil.copyfile(HEADER, partial)
    major = version.split(".")[0]
    texts = {"yolact.pc": _PKG_CONFIG, "yolactConfig.cmake": _CMAKE, "yolactConfigVersion.cmake": _CMAKE_VERSION}
    for name, text in texts.items():
        with replacing(output / name) as partial:
            partial.write_text(text.format(version=version, major=major))
    return [link, header, *(output / name for name in texts)]


def _find_compiler() -> list[str]:
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise BuildFailed(f"expected a C compiler, there is no {compiler[0]} on PATH; install gcc or clang, or set CC")
    return compiler


def _find_python() -> tuple[Path, Path]:
    """The folder of Python's headers and the file of libpython."""
    include = Path(sysconfig.get_path("include", vars={"installed_base": sys.base_prefix}))
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not (include / "Python.h").is_file():
        raise BuildFailed(
            f"expected Python.h in {include}; install {name}-dev (Debian, Ubuntu) or {name}-devel (Fedora)"
        )
    places = [sysconfig.get_config_var(key) for key in ("LIBDIR", "LIBPL")]
    places += [str(Path(sys.base_prefix) / "lib")]
    for place in filter(None, places):
        for suffix in (".so", ".so.1.0"):
            if (library := Path(place) / f"lib{name}{suffix}").is_file():
                return include, library
    raise BuildFailed(
        f"expected lib{name}.so in {sysconfig.get_config_var('LIBDIR')}; install {name}-dev, or a Python configured "
        "with --enable-shared (for pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
    )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildFailed(f"{command[0]} failed with {done.returncode}:\n{done.stderr.strip()}")


def main() -> None:
    """Build into the package or the folder given, and print the files written."""
    parser = argparse.ArgumentParser(description="Build libyolact.so, the C API of the runtime.")
    parser.add_argument("--output", type=Path, default=LIBRARY_FOLDER, help="folder  [default: in the package]")
    try:
        files = build(parser.parse_args().output)
    except (BuildFailed, OSError) as error:
        sys.exit(f"Error: {error}")
    for file in files:
        print("wrote", file)
    print(f'compile with: cc program.c $(pkg-config --cflags --libs "{files[0].parent / "yolact.pc"}")')


if __name__ == "__main__":
    main()
