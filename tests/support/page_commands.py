"""The commands that pages show in blocks of `console`, and what stands above a block that is not run as it is.

A comment right above a block says why it is not run by the test of all pages:

    <!-- needs: a GPU -->                       one of NEEDS
    <!-- form -->                               it shows the options of a command, not one call
    <!-- run by: tests/FILE.py::test_name -->   another test runs the same
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

NEEDS = {"a camera", "a cluster", "a download", "a GPU", "an installation", "hours", "the official code", "your data"}

_BLOCK = re.compile(r"((?:^<!-- [^\n]*? -->\n)*)^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Commands of one block.

    Attributes:
        place: page and line.
        remark: the comment above it without its brackets; empty where it is to be run.
        commands: the words of each, comments left out.
    """

    place: str
    remark: str
    commands: list[list[str]]


def blocks(page: Path, root: Path) -> list[Block]:
    """All blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        place = f"{page.relative_to(root)}:{text.count(chr(10), 0, block.start(2))}"
        remarks = [line for line in re.findall(r"<!-- (.*) -->", block[1]) if "generated" not in line]
        lines = re.sub(r"\\\n\s*", " ", block[2]).splitlines()
        calls = [line[2:] for line in lines if line.startswith("$ ")]
        remark = " ".join(remarks)
        found.append(Block(place, remark, [shlex.split(call, comments=True) for call in calls]))
    return found
