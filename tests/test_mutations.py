"""The table of mutations follows the sources; `python tests/mutations` is what tries them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from repository import ROOT


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git tells which files are sources -- test a clone")
def test_every_mutation_finds_its_text_and_its_tests() -> None:
    command = [sys.executable, str(ROOT / "tests" / "mutations"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
