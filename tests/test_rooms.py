"""Which file imports which: no circle of files, and between the rooms only the arrows that docs/design.md shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from repository import ROOT

MAY_IMPORT = {
    "yolact": {"runtime"},
    "runtime": {"hub"},
    "engines": {"runtime"},
    "plugins": {"runtime"},
    "training": {"runtime"},
    "calib": {"runtime", "training"},
    "export": {"calib", "engines", "runtime", "training"},
    "hub": {"calib", "engines", "export", "runtime"},
    "diff": {"export", "runtime", "training"},
    "serving": {"runtime"},
    "batch": {"runtime", "training"},
    "cli": {"batch", "calib", "diff", "engines", "export", "hub", "plugins", "runtime", "serving", "training"},
}
"""Rooms, and those that each of them imports besides itself; the same table stands in docs/design.md."""

UPWARDS = ("runtime.detector", "hub.opening")
"""The one import that leads upwards, inside a function, for a detector that is opened by the name of weights.

It is left out where circles are looked for."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for room in MAY_IMPORT
    for path in sorted((ROOT / room).rglob("*.py"))
}
"""Files by their names without the namespace `yolact.`"""


def imported(path: Path) -> Iterator[str]:
    """What a file imports anywhere in it, for type checkers too, and modules that it names in strings to load later.

    `import yolact` alone is no arrow: any import loads it first, and what it is wanted for is the version.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports by a relative name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


ARROWS = {
    name: {
        short
        for full in imported(path)
        if full.startswith("yolact.") and (short := full.removeprefix("yolact.")) in MODULES and short != name
    }
    for name, path in MODULES.items()
}


def room_of(module: str) -> str:
    """`python -m yolact` is a command, though its file has to lie in the front door's folder."""
    return "cli" if module == "yolact.__main__" else module.partition(".")[0]


def without_upwards(arrows: Mapping[str, set[str]], upper: str, lower: str) -> Mapping[str, set[str]]:
    """The arrows but for the one between these two."""
    return {name: others - ({upper} if name == lower else set()) for name, others in arrows.items()}


def assert_no_circle(arrows: Mapping[str, set[str]]) -> None:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_every_import_was_seen() -> None:
    for name, path in MODULES.items():
        written = set(re.findall(r"\bfrom yolact\.([\w.]+) import", path.read_text(encoding="utf-8")))
        assert (written & MODULES.keys()) - {name} <= ARROWS[name] and written <= {*MODULES, *MAY_IMPORT}, name
    assert len(MODULES) > 150 and sum(map(len, ARROWS.values())) > 500


def test_no_circle_of_files() -> None:
    lower, upper = UPWARDS
    assert [
        name
        for name, others in ARROWS.items()
        for other in others
        if (room_of(name), room_of(other)) == ("runtime", "hub")
    ] == [lower]
    assert_no_circle(without_upwards(ARROWS, upper, lower))


def test_rooms_import_as_the_table_says() -> None:
    found: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for name, others in ARROWS.items():
        found[room_of(name)] |= {room_of(other) for other in others} - {room_of(name)}
    assert found == MAY_IMPORT
    assert_no_circle(without_upwards(MAY_IMPORT, "hub", "runtime"))
    assert MAY_IMPORT["runtime"] == {"hub"} and not any("cli" in others for others in MAY_IMPORT.values())


def test_folders_inside_a_room_import_one_way() -> None:
    """A room's own files may be below its folders (errors) and above them (what uses all), so they do not count."""
    folders: dict[str, set[str]] = {}
    for name, others in ARROWS.items():
        room, folder = room_of(name), name.rpartition(".")[0]
        inside = {other.rpartition(".")[0] for other in others if room_of(other) == room}
        folders.setdefault(folder, set()).update(inside - {room, folder})
    assert_no_circle({folder: others for folder, others in folders.items() if "." in folder})


def test_design_shows_the_same_table() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", page, re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows} == MAY_IMPORT
