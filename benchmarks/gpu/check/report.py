"""The report of the check on a GPU: tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks.gpu.check.record import Record
from benchmarks.gpu.kernels.report import kernel_table
from benchmarks.markdown import table

MACHINE = ("gpu", "driver", "cuda", "torch", "cudnn", "python", "system", "cpus")
CLOCKS = ("clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit", "temperature.gpu", "utilization.gpu")


def describe(record: Record) -> str:
    """The whole report. Results that are missing or incomplete are left out."""
    parts = [_machine, _steps, _tests, _kernels, _contenders]
    return "\n\n".join(text for part in parts if (text := _text(part, record)))


def _text(part: Callable[[Record], Iterator[str]], record: Record) -> str:
    """The lines of a part; a sentence if a file of an earlier call holds no such results."""
    try:
        return "\n".join(part(record))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        return f"What {record.path} has of this cannot be shown ({type(error).__name__}: {error}): {part.__name__[1:]}"


def _result(record: Record, step: str) -> Any:
    outcome = record.all().get(step)
    return (outcome and outcome.result) or {}


def _machine(record: Record) -> Iterator[str]:
    found = _result(record, "environment")
    smi = found.get("nvidia_smi", {})
    for key in MACHINE:
        if found.get(key) is not None:
            yield f"{key}: {found[key]}"
    if "arch" in found:
        yield f"architecture: {found['arch']}"
    if "missing" not in smi:
        yield from (f"{key}: {smi[key]}" for key in CLOCKS if key in smi)
    for title in ("TensorRT", "TensorRT for RTX", "ONNX Runtime"):
        if title in found.get("doctor", {}):
            yield f"{title}: {found['doctor'][title]}"


def _steps(record: Record) -> Iterator[str]:
    rows = [
        (name, outcome.status, f"{outcome.seconds:.0f}", outcome.reason or _when(record, name))
        for name, outcome in record.all().items()
    ]
    yield table(("step", "", "s", ""), rows)


def _when(record: Record, name: str) -> str:
    """For a step that this call did not run to its end: the time of an earlier call that did."""
    outcome = record.all()[name]
    return f"kept, of {outcome.at}" if outcome is record.kept.get(name) and outcome.at else ""


def _tests(record: Record) -> Iterator[str]:
    for step in ("tests", "racecheck", "sanitizer"):
        found = _result(record, step)
        if not found:
            continue
        yield f"{step}: {found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped"
        yield from (f"- FAILED {test}: {message}" for test, message in found["failures"].items())
        yield from (f"- {count} skipped: {reason}" for reason, count in found["reasons_for_skipping"].items())
        if found["running"]:
            yield f"- running when it ended: {found['running']}"


def _kernels(record: Record) -> Iterator[str]:
    for step, title in (("kernels", ""), ("compiled kernels", "Beside what torch.compile makes of PyTorch:")):
        figures = _result(record, step)
        if figures.get("rows"):
            yield from [title, ""] if title else []
            yield kernel_table(figures)


def _contenders(record: Record) -> Iterator[str]:
    rows = contender_table(outcome.result for outcome in record.all().values())
    if rows:
        yield "End to end, 480x640 images in host memory to masks of that size there:"
        yield ""
        yield rows


def check_table(figures: dict[str, Any]) -> str:
    """The results of a check for whole detectors, by network, contender and batch."""
    return contender_table(step["result"] for step in figures["steps"].values())


def contender_table(results: Iterable[Any]) -> str:
    """A table of the contenders among the results of steps, empty where there are none.

    A contender that does not agree with the reference shows no speed.
    """
    rows = []
    for found in results:
        if not isinstance(found, dict) or "contender" not in found:
            continue
        for row in sorted(found.get("rows", []), key=lambda row: row["batch"]):
            cells = [found["network"], found["contender"], row["batch"]]
            if "fps" in row:
                stages = ", ".join(f"{name} {value:.2f}" for name, value in row["stages"].items())
                cells += [f"{row['fps']:.1f}", f"{row['milliseconds']:.2f}", stages]
            else:
                cells.append(row.get("skipped", "failed"))
            rows.append(cells)
    return table(("network", "contender", "batch", "FPS", "ms a batch", "stages, ms"), rows) if rows else ""
