"""`metrics.csv`: a row for every iteration that a run reports."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

METRICS_FILE = "metrics.csv"

AP_COLUMNS = ("box_AP", "mask_AP")
"""Columns of validations, in percent; empty in other rows."""

_MOST_BYTES = 256 << 20

Row = dict[str, float | None]


class MetricsTable:
    """The rows of a run so far, in memory and ready to be written as a whole.

    Attributes:
        path: of the file.
        columns: ``iteration``, ``epoch``, the terms of the loss and their sum ``total``, ``learning_rate``,
            ``images_per_second`` and `AP_COLUMNS`.
        rows: values by column; None where a cell is empty.
    """

    def __init__(self, folder: Path, terms: Sequence[str]) -> None:
        """``terms``: names of the loss terms, their sum last."""
        self.path = folder / METRICS_FILE
        self.columns = ("iteration", "epoch", *terms, "learning_rate", "images_per_second", *AP_COLUMNS)
        self.rows: list[Row] = []

    def load(self, resumed_at: int | None) -> str | None:
        """Take the rows up to an iteration from the file; None takes none, for a new run.

        A file that is no table of such a run is renamed, so that it is not lost. Returns a sentence for the user where
        rows are missing. Raises OSError where the file cannot be renamed.
        """
        if not self.path.exists() and not self.path.is_symlink():
            return f"there is no {self.path}, which begins anew" if resumed_at else None
        try:
            found, fault = self._read()
        except (OSError, ValueError) as error:
            found, fault = [], str(error.strerror if isinstance(error, OSError) else error)
        self.rows = [row for row in found if (row["iteration"] or 0) <= (resumed_at or 0)]
        reached = resumed_at is not None and len(self.rows) < len(found)  # a damage after that row costs nothing
        if not fault or reached:
            return None
        aside = _free_name(self.path)
        self.path.rename(aside)
        kept = f"its first {len(self.rows)} rows are kept" if self.rows else "it begins anew"
        return f"{self.path} is damaged or of another program ({fault}); it is {aside.name} now, and {kept}"

    def _read(self) -> tuple[list[Row], str]:
        """The rows before the first one that cannot be read, and why that cannot. Raises ValueError, OSError."""
        if not self.path.is_file():
            raise ValueError("it is no file")
        if self.path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        *lines, rest = self.path.read_bytes().split(b"\n")
        if not lines or lines[0].rstrip(b"\r") != ",".join(self.columns).encode():
            raise ValueError("its first line does not name the columns of this run")
        rows: list[Row] = []
        last = 0.0
        for number, line in enumerate(lines[1:], 2):
            try:
                row = self._parse(line.decode("ascii"))
                last = _after(last, row["iteration"])
            except ValueError:
                return rows, f"line {number} is no row of it"
            rows.append(row)
        return rows, f"line {len(lines) + 1} has no end" if rest else ""

    def _parse(self, line: str) -> Row:
        cells = line.rstrip("\r").split(",")
        row = {name: _number(cell) for name, cell in zip(self.columns, cells, strict=True)}
        if any(row[name] is None for name in self.columns if name not in AP_COLUMNS):
            raise ValueError("a cell is empty")
        return row

    def add(self, row: Row) -> None:
        """Append a row."""
        self.rows.append(row)

    def as_bytes(self) -> bytes:
        """The whole file, numbers of the losses with six digits."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows:
            writer.writerow(_cell(name, row.get(name)) for name in self.columns)
        return buffer.getvalue().encode()


def _after(last: float, iteration: float | None) -> float:
    """The iteration of the next row. Raises ValueError where it is none, or not after the last one."""
    if iteration is None or iteration != int(iteration) or iteration <= last:
        raise ValueError
    return iteration


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if name == "iteration" else f"{value:.6g}"


def _number(cell: str) -> float | None:
    if not cell:
        return None
    value = float(cell)
    if not math.isfinite(value) or len(cell) > 32:
        raise ValueError(cell)
    return value


def _free_name(path: Path) -> Path:
    """A name beside it that nothing has: ``metrics_1.csv`` and so on."""
    number = 1
    while True:
        free = path.with_name(f"{path.stem}_{number}{path.suffix}")
        if not free.exists() and not free.is_symlink():
            return free
        number += 1
