"""The machine code of kernels: the functions that its instructions come from, its loops, its instructions by kind."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from yolact.runtime.errors import YolactError

KINDS = {
    "integer division": r"I2F\S*\.RP|F2I\S*",
    "local memory": r"LDL|STL",
    "FP64": r"D(ADD|MUL|FMA|SETP|MNMX)|F2F\.F64|I2F\.F64|F2I\.F64",
    "MUFU": r"MUFU",
    "load of 16 B": r"LDG\S*\.128",
    "load of 8 B": r"LDG\S*\.64",
    "load of 1 or 2 B": r"LDG\S*\.[US](16|8)",
    "load of 4 B": r"LDG",
    "store of 16 B": r"STG\S*\.128",
    "store of 8 B": r"STG\S*\.64",
    "store of 1 or 2 B": r"STG\S*\.[US](16|8)",
    "store of 4 B": r"STG",
    "shared": r"LDS|STS|ATOMS",
    "atomic": r"ATOM|ATOMG|RED",
    "shuffle or vote": r"SHFL|VOTE|MATCH",
    "barrier": r"BAR|WARPSYNC",
    "float": r"F(FMA|ADD|MUL|MNMX|MNMX3|SETP|SEL|CHK|SET)|H(ADD2|MUL2|FMA2|MNMX2)|VHMNMX",
}
"""Patterns of opcodes. An instruction is of the first kind that it matches, or of none."""

_FUNCTION = re.compile(r"^\.text\.(\S+):$")
_LABEL = re.compile(r"^(\.L_x_\d+):$")
_PLACE = re.compile(r'^\s*//## File "([^"]+)", line (\d+)')
_INSTRUCTION = re.compile(r"^\s+/\*(?P<at>[0-9a-f]{4,})\*/\s+(?:@!?U?P\d+\s+)?(?P<code>[A-Z][\w.]*)(?P<rest>[^;]*);")
_TARGET = re.compile(r"`\((\.L_x_\d+)\)")
_DEFINITION = re.compile(r"__(?:device|global)__([^;{}]*?)\{")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its address and opcode, the address that a branch goes to, and the function of the sources that
    it comes from, which may have been inlined."""

    at: int
    code: str
    target: int | None
    function: str


@dataclass(frozen=True)
class Loop:
    """A loop without a loop inside; `function` is the function that contains it in the sources."""

    function: str
    instructions: tuple[Instruction, ...]


def find_disassembler() -> Path:
    """nvdisasm of the CUDA toolkit, or of the package `nvidia-cuda-nvdisasm`. Raises YolactError without."""
    if path := shutil.which("nvdisasm"):
        return Path(path)
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for found in sorted(Path(folder).glob("*/bin/nvdisasm")):
            return found
    raise YolactError("nvdisasm is not here; it comes with the CUDA toolkit, or with pip install nvidia-cuda-nvdisasm")


def disassemble(cubin: Path) -> dict[str, list[Instruction]]:
    """The instructions of each kernel, by its symbol, of code that was compiled with -lineinfo.

    Raises YolactError if nvdisasm is missing or does not take the file.
    """
    done = subprocess.run([find_disassembler(), "-c", "-gi", cubin], capture_output=True, text=True)
    if done.returncode:
        raise YolactError(f"nvdisasm does not take {cubin.name}: {done.stderr[-500:]}")
    return read(done.stdout)


def read(text: str) -> dict[str, list[Instruction]]:
    """The instructions of each kernel from the output of `nvdisasm -c -gi`."""
    found: dict[str, list[tuple[int, str, str | None, str]]] = {}
    labels: dict[str, int] = {}
    waiting: list[str] = []
    places: list[tuple[str, int]] = []
    symbol = function = ""
    for line in text.splitlines():
        if started := _FUNCTION.match(line):
            symbol, function = started[1], ""
            found[symbol] = []
        elif label := _LABEL.match(line):
            waiting.append(label[1])
        elif place := _PLACE.match(line):
            places.append((place[1], int(place[2])))
        elif (parsed := _INSTRUCTION.match(line)) and symbol:
            at = int(parsed["at"], 16)
            function = _function_at(places) or function
            labels |= dict.fromkeys(waiting, at)
            waiting, places = [], []
            target = _TARGET.search(parsed["rest"])
            found[symbol].append((at, parsed["code"], target[1] if target else None, function))
    return {
        symbol: [Instruction(at, code, labels.get(target or ""), function) for at, code, target, function in rows]
        for symbol, rows in found.items()
    }


def _function_at(places: Sequence[tuple[str, int]]) -> str:
    """The function of the innermost of these places that is in one of the project's own files; "" without."""
    for path, line in places:
        starts, names = _definitions(path)
        if names and line >= starts[0]:
            return names[bisect_right(starts, line) - 1]
    return ""


@cache
def _definitions(path: str) -> tuple[list[int], list[str]]:
    """First lines and names of the device functions in a file; none for CUDA's own headers."""
    if "plugins" not in Path(path).parts or not Path(path).is_file():
        return [], []
    text = Path(path).read_text(encoding="utf-8")
    starts, names = [], []
    for found in _DEFINITION.finditer(text):
        if name := re.search(r"(\w+)\(", re.sub(r"__launch_bounds__\([^)]*\)", "", found[1])):
            starts.append(text.count("\n", 0, found.start()) + 1)
            names.append(name[1])
    return starts, names


def loops(instructions: Sequence[Instruction]) -> list[Loop]:
    """The innermost loops: from the target of a branch backwards to the branch."""
    branches = [i for i in instructions if i.code == "BRA" and i.target is not None and i.target < i.at]
    spans = {(i.target or 0, i.at): i.function for i in branches}
    found = []
    for (first, last), function in sorted(spans.items()):
        if not any((a, b) != (first, last) and first <= a and b <= last for a, b in spans):
            found.append(Loop(function, tuple(i for i in instructions if first <= i.at <= last)))
    return found


def count(instructions: Iterable[Instruction]) -> Counter[str]:
    """Instructions by kind, and all of them as `instructions`."""
    counted: Counter[str] = Counter()
    for instruction in instructions:
        counted["instructions"] += 1
        counted.update(kind_of(instruction.code))
    return counted


@cache
def kind_of(code: str) -> list[str]:
    """The kind of an opcode, or nothing."""
    return [kind for kind, pattern in KINDS.items() if re.match(rf"(?:{pattern})(?![A-Z0-9])", code)][:1]
