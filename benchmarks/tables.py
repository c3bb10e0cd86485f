"""Writes the tables of the documentation from the results of benchmarks, so that no figure is typed by hand.

In README.md and docs/ lines between `begin generated: NAME` and `end generated: NAME`, both in comments, are replaced
by the tables of that result, or by one of them where NAME is RESULT/TABLE.

    python benchmarks/tables.py [--check]
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import cpu_tables
import result_tables
import service_tables
from aims import aims
from markdown_tables import describe

from yolact.cli.command import reports_errors
from yolact.runtime.errors import YolactError
from yolact.runtime.output_files import replacing

RESULTS = Path("benchmarks", "results")
_MARKER = re.compile(r"<!-- (begin|end) generated: (\S+) -->")


@dataclass(frozen=True)
class Result:
    """Figures that a benchmark wrote.

    Attributes:
        command: writes them.
        tables: each by the name that documents use, with what it takes in.
        paths: of the files, relative to the repository.
        on_gpu: the benchmark needs one.
    """

    command: str
    tables: dict[str, Callable[..., str]]
    paths: tuple[Path, ...]
    on_gpu: bool = False


def _result(script: str, name: str, tables: dict[str, Callable[..., str]], **options: Any) -> Result:
    path = RESULTS / f"{name}.json"
    command = f"python benchmarks/{script}.py {options.pop('arguments', '')}--json {path.as_posix()}"
    return Result(command, tables, (path,), **options)


def _parts(module: ModuleType, *names: str) -> dict[str, Callable[..., str]]:
    return {name: getattr(module, name) for name in names}


_TRAINING = ("training", "training_demo")
RESULTS_SHOWN = {
    "compare_cpu": _result(
        "compare_cpu",
        "compare_cpu",
        _parts(cpu_tables, "end_to_end", "heads", "parts", "ours", "accuracy"),
    ),
    "int8": _result(
        "int8",
        "int8",
        {
            "accuracy": result_tables.int8_accuracy,
            "latency": result_tables.int8_latency,
            "plans": result_tables.int8_plans,
        },
    ),
    "int8_photos": _result(
        "int8",
        "int8_photos",
        {"accuracy": result_tables.int8_accuracy},
        arguments="--weights W.pth --annotations A.json --images DIR ",
    ),
    "precision": _result(
        "precision",
        "precision",
        {"accuracy": result_tables.precision_accuracy, "heads": result_tables.precision_heads},
        arguments="--photos DIR ",
    ),
    "engines": _result("engines", "engines", {"plans": result_tables.engines}),
    "kernel_resources": _result("kernel_resources", "kernel_resources", {"kernels": result_tables.kernel_resources}),
    "training": Result(
        "python benchmarks/training.py --config NAME --data SPEC --json FILE",
        {"speed": result_tables.training, "memory": result_tables.training_memory},
        tuple(RESULTS / f"{name}.json" for name in _TRAINING),
    ),
    "deformable": _result("deformable", "deformable", {"forms": result_tables.deformable}),
    "gpu_plugins": _result("gpu_plugins", "gpu_plugins", {"kernels": result_tables.gpu_plugins}, on_gpu=True),
    "gpu_check": _result("gpu_check", "gpu_check", {"end_to_end": result_tables.gpu_check}, on_gpu=True),
    "c_api": _result(
        "c_api", "c_api", {name: getattr(service_tables, name) for name in ("overhead", "load", "memory")}
    ),
    "folder": _result("folder", "folder", {"share": result_tables.folder}, arguments="--engine FILE ... "),
    "bench_cpu": Result(
        "yolact-bench --engine yolact_resnet50.onnx --json benchmarks/results/bench_cpu.json",
        {"stages": result_tables.bench_stages, "detections": result_tables.bench_detections},
        (RESULTS / "bench_cpu.json",),
    ),
    "aims": Result(
        "python benchmarks/compare_cpu.py, python benchmarks/folder.py, yolact-bench",
        {"cpu": aims},
        tuple(RESULTS / f"{name}.json" for name in ("compare_cpu", "folder", "bench_cpu")),
    ),
    "published": Result("", {"rows": result_tables.published}, (Path("benchmarks", "published.json"),)),
}
"""By the name that documents use."""


def generate(root: Path, document: Path, name: str) -> str:
    """What belongs between the markers of a name, for a document below `root`.

    Raises YolactError for a name there is not, and for a file that is no such result.
    """
    stem, _, part = name.partition("/")
    result = RESULTS_SHOWN.get(stem)
    if result is None or (part and part not in result.tables):
        known = ", ".join(f"{stem}/{part}" for stem, result in RESULTS_SHOWN.items() for part in result.tables)
        raise YolactError(f"{document}: there is no table {name}; expected a result, or one of its tables: {known}")
    if not all((root / path).is_file() for path in result.paths):
        return f"Not yet {'run on a GPU' if result.on_gpu else 'measured'}: `{result.command}`."
    figures = [_read(root, path, result) for path in result.paths]
    chosen = [result.tables[part]] if part else result.tables.values()
    try:
        tables = [render(*figures) for render in chosen]
        source = _source(root, document, result, figures)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise YolactError(_no_result(result, " and ".join(map(str, result.paths)), problem)) from error
    return "\n\n".join(filter(None, [*tables, source]))


def _read(root: Path, path: Path, result: Result) -> Any:
    try:
        return json.loads((root / path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise YolactError(_no_result(result, str(path), str(error))) from error


def _no_result(result: Result, path: str, problem: str) -> str:
    again = f"write it again with {result.command}" if result.command else "mend it"
    return f"{path}: expected the figures of a benchmark, got something else ({problem}); {again}"


def _source(root: Path, document: Path, result: Result, figures: list[Any]) -> str:
    """How the figures came about, in a line; empty for other people's."""
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
    cpu = machine["cpu"]  # as yolact-bench has it
    return describe({"cpu": f"{cpu['model']}, {cpu['usable_cores']} cores", **machine["versions"]})


def rewrite(root: Path, document: Path) -> tuple[str, list[str]]:
    """A document with its tables as they should be, and the names of those that are otherwise in the file.

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


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where a table is not that of its result.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(__file__).resolve().parents[1],
    help="The repository.  [default: this one]",
)
@reports_errors
def main(check: bool, root: Path) -> None:
    """Bring the tables in README.md and docs/ up to date with benchmarks/results."""
    documents = {path: rewrite(root, path) for path in (root / "README.md", *sorted((root / "docs").glob("*.md")))}
    outdated = {path: text for path, (text, stale) in documents.items() if stale}
    for path in outdated:
        click.echo(f"{path.relative_to(root)}: {'stale' if check else 'wrote'} {', '.join(documents[path][1])}")
    if check and outdated:
        raise YolactError("tables differ from the results of benchmarks; run python benchmarks/tables.py")
    for path, text in outdated.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
