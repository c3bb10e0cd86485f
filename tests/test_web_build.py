"""What the build of the example page refuses."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import missing
import pytest
from click.testing import CliRunner
from repository import ROOT

from yolact.runtime.errors import YolactError

BUILD: dict[str, Any] = runpy.run_path(str(ROOT / "examples" / "web" / "build.py"))

NPMS = {
    "none": (None, "expected npm, which downloads onnxruntime-web@"),
    "one without a network": ("echo 'getaddrinfo EAI_AGAIN' >&2; exit 1", "got 'getaddrinfo EAI_AGAIN'; connect to"),
    "one that says nothing": ("exit 3", "got 'exit code 3'; connect to"),
    "one with another archive": (
        'for folder; do :; done; echo x > "$folder/any.tgz"',
        "expected any.tgz with the sha512 ",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
@pytest.mark.parametrize("name", NPMS)
def test_onnx_runtime_web_is_whole_or_not_there(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    script, reason = NPMS[name]
    if script is not None:
        npm = here / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(here / "bin"))
    with pytest.raises(YolactError) as raised:
        BUILD["fetch_runtime"](here / "kept")
    assert reason in str(raised.value) and "; " in str(raised.value)
    assert not list((here / "kept").glob("*"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--output", "photos"], "expected an empty folder or an earlier page, got photos; choose another --output"),
        (["--output", "text"], "expected a folder to write, got the file text; choose another --output"),
        (["--weights", "missing.pth"], "'missing.pth' does not exist"),
        (["--pictures", "text"], "'text' is a file"),
    ],
)
def test_rejected_options(here: Path, arguments: list[str], reason: str) -> None:
    (here / "photos").mkdir()
    (here / "photos" / "mine.jpg").write_bytes(b"mine")
    (here / "text").write_text("text")
    result = CliRunner().invoke(BUILD["main"], arguments)
    assert result.exit_code in (1, 2) and reason in " ".join(result.stderr.split()), result.stderr
    assert (here / "photos" / "mine.jpg").read_bytes() == b"mine" and (here / "text").read_text() == "text"
