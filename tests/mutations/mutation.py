"""What a mutation is: one operator or constant of the sources, changed so that some test should fail."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SUFFIXES = {".c", ".cpp", ".cu", ".cuh", ".h", ".py"}


class Mutation(NamedTuple):
    """One change of the sources.

    Attributes:
        name: what it breaks, in a few words.
        old: text that occurs exactly once in the sources outside tests/, in whichever file that is.
        new: what takes its place.
        tests: names of the test files that should notice, wherever they lie in tests/.
    """

    name: str
    old: str
    new: str
    tests: tuple[str, ...]


class TableError(Exception):
    """The table has to follow the sources or the tests."""


def tracked_files(tree: Path) -> list[Path]:
    """The files of a repository that git does not ignore, by path from its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout.split("\0")
    return [Path(name) for name in names if name and (tree / name).is_file()]


def read_sources(tree: Path, files: Iterable[Path]) -> dict[Path, str]:
    """Those of these files, paths from the tree's root, that mutations may change."""
    paths = (path for path in files if path.suffix in SUFFIXES and path.parts[0] != "tests")
    return {path: (tree / path).read_text(encoding="utf-8") for path in paths}


def locate(mutation: Mutation, sources: Mapping[Path, str]) -> Path:
    """The file that a mutation changes. Raises TableError."""
    found = [path for path, text in sources.items() for _ in range(text.count(mutation.old))]
    if len(found) != 1:
        places = ", ".join(map(str, found)) or "nowhere"
        raise TableError(f"{mutation.name}: expected its old text once, found it in {places}: {mutation.old!r}")
    return found[0]


def check(mutations: Sequence[Mutation], tree: Path) -> list[Path]:
    """The files that the mutations change. Raises TableError where a text, a test file or a name is not there once."""
    sources = read_sources(tree, tracked_files(tree))
    files = [locate(mutation, sources) for mutation in mutations]
    for name in sorted({name for mutation in mutations for name in mutation.tests}):
        found = len(list((tree / "tests").rglob(name)))
        if found != 1:
            raise TableError(f"expected one test file {name}, found {found}")
    names = Counter(mutation.name for mutation in mutations)
    if names and max(names.values()) > 1:
        raise TableError(f"the name {names.most_common(1)[0][0]} is given several times")
    return files
