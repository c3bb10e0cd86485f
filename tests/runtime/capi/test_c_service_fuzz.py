"""What the C service reads and writes, under sanitizers, for tens of thousands of mutations of sound input."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import missing
import pytest
from made_once import MakeOnce
from repository import ROOT
from service_fuzzing import JSON, SERVICE, TARGETS, sources, write_seeds
from service_process import SANITIZERS, need_libmicrohttpd

ROUNDS = 60_000


@pytest.fixture(scope="module")
def program(make_once: MakeOnce) -> Path:
    """The target behind the mutations."""
    if shutil.which("cc") is None:
        pytest.skip(missing.program("cc"))
    need_libmicrohttpd()

    def compile_program(folder: Path) -> None:
        flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", *SANITIZERS.split()]
        include = ["-I", SERVICE, "-I", ROOT / "runtime" / "capi"]
        command = ["cc", *flags, *include, TARGETS / "mutate.c", *sources(), "-o", folder / "mutate", "-lm", "-pthread"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return make_once("fuzz-service", compile_program) / "mutate"


def refuse(word: str) -> Any:
    raise ValueError(f"JSON has no {word}")


def test_mutated_requests_images_and_results(program: Path, tmp_path: Path) -> None:
    seeds = write_seeds(tmp_path)
    with (tmp_path / "printed").open("wb") as printed:
        done = subprocess.run([program, str(ROUNDS), *seeds], stdout=printed, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    rows = sentences = log = answers = refusals = 0
    for line in (tmp_path / "printed").read_bytes().split(b"\n")[:-1]:
        if line.startswith((b"{", b'"')):
            row = json.loads(line.decode(), parse_constant=refuse)
            answers += "outputs" in row
            refusals += "error" in row
            if isinstance(row, dict) and "source" in row:
                assert list(row) == ["source", "width", "height", "detections"]
                rows += 1
            sentences += isinstance(row, str)
        else:
            assert re.fullmatch(rb'[0-9T:Z-]+ client=unknown id=[\w.-]+ status=\d+ [ -~]* path="[ -~]*"', line), line
            log += 1
    assert rows > ROUNDS / 10 and log == sentences > ROUNDS / 10
    assert answers > ROUNDS / 600 and refusals > ROUNDS / 10


def test_what_json_lacks(program: Path, tmp_path: Path) -> None:
    """Numbers that are none, and a name of half a surrogate pair and an escape sequence."""
    seeds = [seed for seed in write_seeds(tmp_path) if seed.read_bytes().startswith(JSON)]
    printed = subprocess.run([program, "0", *seeds], capture_output=True, check=True).stdout
    first, second, third = (json.loads(line, parse_constant=refuse)["detections"][0] for line in printed.splitlines())
    assert (first["box"], first["score"], first["class_name"]) == ([1, 2, 30, 40], 0.25, "größe")
    assert second["box"] == [None, None, None, pytest.approx(1e38)] and second["score"] is None
    assert second["class_name"] == 3 * "\ufffd" + "\x1b[31m"
    assert third["class_name"] == "" and third["score"] == 0
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", printed)


def test_fuzzing_without_clang(tmp_path: Path) -> None:
    """`make fuzz` goes on to what else it fuzzes."""
    environment = {"PATH": str(tmp_path), "CC": "gcc"}
    done = subprocess.run([sys.executable, TARGETS], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "there is no clang with libFuzzer -- apt-get install clang" in done.stdout
