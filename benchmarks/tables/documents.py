"""The tables in the documents: the text that belongs between their markers, and the comparison with the files.

Lines between `begin generated: NAME` and `end generated: NAME`, both in comments, are the tables of that result, or one
of them where NAME is RESULT/TABLE.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import describe
from benchmarks.tables.results import PICTURES, RESULTS_SHOWN, Result, Table
from yolact.runtime.errors import YolactError

_MARKER = re.compile(r"<!-- (begin|end) generated: (\S+) -->")


def generate(root: Path, document: Path, name: str) -> str:
    """The text that belongs between the markers of a name, for a document below `root`.

    Raises YolactError for an unknown name, and for a file that is no such result.
    """
    stem, _, part = name.partition("/")
    result = RESULTS_SHOWN.get(stem)
    if result is None or (part and part not in result.tables):
        known = ", ".join(f"{stem}/{part}" for stem, result in RESULTS_SHOWN.items() for part in result.tables)
        raise YolactError(f"{document}: there is no table {name}; expected a result, or one of its tables: {known}")
    chosen = [result.tables[part]] if part else result.tables.values()
    texts = _render(root, result, [*chosen, lambda *figures: _source(root, document, result, figures)])
    if texts is None:
        return f"Not yet {'run on a GPU' if result.on_gpu else 'measured'}: `{result.command}`."
    return "\n\n".join(filter(None, texts))


def redraw(root: Path, picture: Path) -> str | None:
    """The text of a picture below `root`, a key of PICTURES; None if its result is missing.

    Raises YolactError for a file that is no such result.
    """
    name, draw = PICTURES[picture]
    drawn = _render(root, RESULTS_SHOWN[name], [draw])
    return None if drawn is None else drawn[0]


def _render(root: Path, result: Result, renders: Sequence[Table]) -> list[str] | None:
    """The texts that the functions make of the figures of a result; None if a file of it is missing."""
    if not all((root / path).is_file() for path in result.paths):
        return None
    figures = [_read(root, path, result) for path in result.paths]
    try:
        return [render(*figures) for render in renders]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise YolactError(_no_result(result, " and ".join(map(str, result.paths)), problem)) from error


def _read(root: Path, path: Path, result: Result) -> Any:
    try:
        return json.loads((root / path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise YolactError(_no_result(result, str(path), str(error))) from error


def _no_result(result: Result, path: str, problem: str) -> str:
    again = f"write it again with {result.command}" if result.command else "mend it"
    return f"{path}: expected the figures of a benchmark, got something else ({problem}); {again}"


def _source(root: Path, document: Path, result: Result, figures: Sequence[Any]) -> str:
    """The line that says how the figures were measured; empty for other people's figures."""
    if not result.command:
        return ""
    links = (os.path.relpath(root / path, document.parent).replace(os.sep, "/") for path in result.paths)
    shown = ", ".join(f"[figures]({link})" for link in links)
    where = "; ".join(filter(None, dict.fromkeys(_where(one) for one in figures)))
    return f"{shown} of `{result.command}`{where and ': '}{where}."


def _where(figures: dict[str, Any]) -> str:
    if "machine" not in figures:
        return str(figures.get("compiler", ""))
    machine = figures["machine"]
    if "versions" not in machine:
        return describe(machine)
    cpu = machine["cpu"]  # the form of yolact-bench
    return describe({"cpu": f"{cpu['model']}, {cpu['usable_cores']} cores", **machine["versions"]})


def rewrite(root: Path, document: Path) -> tuple[str, list[str]]:
    """The text of a document with its tables as they should be, and the names of the tables that differ in the file.

    Raises YolactError where markers do not come in pairs; see also `generate`.
    """
    lines: list[str] = []
    inside: str | None = None
    found: list[str] = []
    stale = []
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        marker = _MARKER.fullmatch(line)
        if marker is None:
            (lines if inside is None else found).append(line)
            continue
        kind, name = marker.groups()
        if (kind == "begin") != (inside is None) or (kind == "end" and name != inside):
            raise YolactError(f"{document}:{number}: {line} has no partner; each begin needs its own end below it")
        if kind == "begin":
            inside, found = name, []
        else:
            wanted = generate(root, document, name).splitlines()
            stale += [name] if found != wanted else []
            lines += wanted
            inside = None
        lines.append(line)
    if inside is not None:
        raise YolactError(f"{document}: begin generated: {inside} has no end")
    return "\n".join(lines) + "\n", stale
