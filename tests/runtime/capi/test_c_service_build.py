"""`make -C examples/c_service`: what it builds, and what it says where something is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from service_fuzzing import SERVICE
from service_process import need_build_tools


def make(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(folder), *settings]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    need_build_tools()
    return shutil.copytree(SERVICE, tmp_path / "service", ignore=shutil.ignore_patterns("yolact-service"))


def test_it_starts_from_any_folder(sources: Path, capi_folder: Path) -> None:
    """Also where make was given the library's folder as it is from the sources, which is the default."""
    (sources.parent / "lib").symlink_to(capi_folder)
    done = make(sources, "YOLACT=../lib", "CFLAGS=-O0 -Werror")
    assert done.returncode == 0, done.stderr
    done = subprocess.run([sources / "yolact-service", "--help"], cwd="/", check=True, capture_output=True, text=True)
    assert done.stdout.startswith("usage: yolact-service")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["YOLACT=/nowhere"], "expected libyolact in /nowhere, where there is none; run make capi"),
        (["YOLACT={bare}"], "expected libyolact in {bare}, where pkg-config finds no yolact.pc; run make capi"),
        (["PKG_CONFIG_LIBDIR=/nowhere"], "pkg-config finds no libmicrohttpd; install its headers"),
        (["PKG_CONFIG=no-such-program"], "expected pkg-config, there is no no-such-program on PATH; install it"),
        (["CC=no-such-compiler -m64"], "expected a C compiler, there is no no-such-compiler on PATH; install gcc"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    sources: Path, capi_folder: Path, tmp_path: Path, settings: list[str], said: str
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "libyolact.so").touch()
    words = [f"YOLACT={capi_folder}", *(word.format(bare=bare) for word in settings)]
    done = make(sources, *words)
    assert done.returncode == 2
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"Error: {said.format(bare=bare)}")
    assert all(line.startswith("make") for line in others)
    assert not (sources / "yolact-service").exists()
