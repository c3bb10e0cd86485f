"""The report on the CUDA kernels: figures and aims, as a table in Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import write_figures
from benchmarks.markdown import table

PLUGINS = "both plugins"
MOST_MICROSECONDS = 60.0  # at batch 1
MOST_FLOORS = 4.0  # at batch 32
LEAST_OFFICIAL, LEAST_BATCHED = 20.0, 5.0

NOTES = (
    "Medians. Each run works on other copies of its inputs and outputs than the one before, more of them than the L2 "
    "cache holds; only the priors, a constant of the engine, are shared. Ours and `batched` are replayed from CUDA "
    "graphs, `official` cannot be recorded and is timed as called. The floor is the bytes that must move (all logits "
    "and prototypes, locations and priors of candidates, coefficients of detections, all outputs, each once) over the "
    "bandwidth of a large copy, bytes read and written both counted. For resize_pack and masks_to_image `official` is "
    "PyTorch's interpolate, recorded in a graph."
)


@dataclass
class Row:
    """The figures of one step at one size.

    Attributes:
        step, batch, type, inputs: of the timed work.
        bytes: the fewest that must move.
        floor: microseconds to move these bytes at the bandwidth of a copy.
        microseconds: median of one run.
        official, batched: median microseconds of PyTorch's forms for the same, None where there is none.
        stages: median microseconds of each kernel by itself.
    """

    step: str
    batch: int
    type: str
    inputs: str
    bytes: int
    floor: float = 0.0
    microseconds: float = 0.0
    official: float | None = None
    batched: float | None = None
    stages: dict[str, float] = field(default_factory=dict)

    def aims(self) -> dict[str, bool]:
        """The aims of this row, and whether it meets them."""
        aims = {}
        if self.step == PLUGINS and self.batch == 1:
            aims[f"under {MOST_MICROSECONDS:g} us"] = self.microseconds < MOST_MICROSECONDS
        if self.step in (PLUGINS, "fast_nms", "mask_assembly") and self.batch == 32:
            aims[f"at most {MOST_FLOORS:g}x the floor"] = self.microseconds <= MOST_FLOORS * self.floor
        if self.step == PLUGINS and self.official is not None:
            aims[f"{LEAST_OFFICIAL:g}x official"] = self.official >= LEAST_OFFICIAL * self.microseconds
        if self.step == PLUGINS and self.batched is not None:
            aims[f"{LEAST_BATCHED:g}x batched"] = self.batched >= LEAST_BATCHED * self.microseconds
        return aims


@dataclass
class Report:
    """The figures of a whole run.

    Attributes:
        machine: hardware and versions.
        bandwidth: bytes a second of a large copy, read and written.
        batched_form: eager or compiled, a clause about the batched PyTorch form.
        rows: the measurements so far.
    """

    machine: dict[str, str]
    bandwidth: float
    batched_form: str = ""
    rows: list[Row] = field(default_factory=list)

    def floor(self, size: int) -> float:
        """Microseconds that a copy of `size` bytes takes."""
        return size / self.bandwidth * 1e6

    def write(self, path: Path | None) -> None:
        """Write the rows so far as JSON, so they remain if the run breaks off."""
        rows = [{**asdict(row), "aims": row.aims()} for row in self.rows]
        write_figures(path, {**asdict(self), "notes": NOTES, "rows": rows})

    def __str__(self) -> str:
        lines = [f"{key}: {value}" for key, value in self.machine.items()]
        lines.append(f"copy inside the GPU's memory: {self.bandwidth / 1e12:.2f} TB/s read and written")
        lines += [f"batched PyTorch: {self.batched_form}", "", NOTES, "", rows_table(self.rows)]
        lines += ["", "Kernels by themselves, us:", ""]
        lines += [f"- {_title(row)}: {_stages(row)}" for row in self.rows if row.stages]
        return "\n".join(lines)


def kernel_table(figures: dict[str, Any]) -> str:
    """The rows of a written report, in Markdown."""
    return rows_table([Row(**{key: value for key, value in row.items() if key != "aims"}) for row in figures["rows"]])


def rows_table(rows: Sequence[Row]) -> str:
    """Rows in Markdown, with their aims."""
    head = ("step", "batch", "type", "inputs", "us", "floor, us", "of floor")
    head += ("official, us", "times ours", "batched, us", "times ours", "aims")
    lines = []
    for row in rows:
        cells: list[Any] = [row.step, row.batch, row.type, row.inputs, f"{row.microseconds:.1f}", f"{row.floor:.2f}"]
        cells.append(f"{row.microseconds / row.floor:.1f}")
        for other in (row.official, row.batched):
            cells += ["", ""] if other is None else [f"{other:.1f}", f"{other / row.microseconds:.1f}"]
        cells.append("; ".join(f"{aim}: {'met' if met else 'not met'}" for aim, met in row.aims().items()))
        lines.append(cells)
    return table(head, lines)


def _title(row: Row) -> str:
    return f"{row.step}, batch {row.batch}, {row.type}, {row.inputs}"


def _stages(row: Row) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in row.stages.items())
