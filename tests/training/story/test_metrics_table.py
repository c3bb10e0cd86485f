"""`metrics.csv` as other programs read it, and what a resumed run makes of one that is not as it was left."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest

from yolact.training.story.metrics_table import METRICS_FILE, MetricsTable, Row

TERMS = ("box", "mask", "total")
COLUMNS = ["iteration", "epoch", *TERMS, "learning_rate", "images_per_second", "box_AP", "mask_AP"]


def row(iteration: int, ap: float | None = None) -> Row:
    values = [iteration, iteration / 3, 0.5, 1 / 7, 0.5 + 1 / 7, 1e-4, 12.5, ap, ap]
    return dict(zip(COLUMNS, values, strict=True))


def written(folder: Path, count: int = 4) -> Path:
    table = MetricsTable(folder, TERMS)
    for iteration in range(1, count + 1):
        table.add(row(iteration, 12.345678 if iteration == 3 else None))
    (folder / METRICS_FILE).write_bytes(table.as_bytes())
    return folder / METRICS_FILE


def iterations(table: MetricsTable) -> list[int]:
    return [int(line["iteration"]) for line in csv.DictReader(io.StringIO(table.as_bytes().decode()))]


def test_what_is_written_is_a_table(tmp_path: Path) -> None:
    with written(tmp_path).open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == COLUMNS and [line["iteration"] for line in lines] == ["1", "2", "3", "4"]
    assert [line["mask_AP"] for line in lines] == ["", "", "12.3457", ""]
    assert float(lines[0]["mask"]) == pytest.approx(1 / 7, rel=1e-5)


@pytest.mark.parametrize(("resumed_at", "kept"), [(None, []), (1, [1]), (3, [1, 2, 3]), (9, [1, 2, 3, 4])])
def test_rows_after_the_state_are_dropped(tmp_path: Path, resumed_at: int | None, kept: list[int]) -> None:
    written(tmp_path)
    table = MetricsTable(tmp_path, TERMS)
    assert table.load(resumed_at) is None
    assert iterations(table) == kept
    table.add(row(20))
    assert iterations(table) == [*kept, 20]
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]


HEAD = ",".join(COLUMNS).encode() + b"\n"
LINE = b"1,0.3,1,1,2,0.1,9,,\n"

DAMAGED: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 0),
    "binary": (bytes(range(256)) * 9, 0),
    "of another program": (b"epoch;loss\n1;2\n", 0),
    "of other losses": (HEAD.replace(b"mask,", b"") + LINE, 0),
    "no end of the first line": (HEAD[:-1], 0),
    "cut in a row": (HEAD + LINE + b"2,0.6,1,1,2,0.", 1),
    "cut before the end of a row": (HEAD + LINE + LINE.replace(b"1", b"2", 1)[:-1], 1),
    "cells too few": (HEAD + LINE + b"2,0.6\n" + LINE.replace(b"1", b"3", 1), 1),
    "cells too many": (HEAD + LINE[:-1] + b",7\n", 0),
    "no number": (HEAD + LINE.replace(b"0.3", b"x"), 0),
    "not finite": (HEAD + LINE.replace(b"0.3", b"nan"), 0),
    "no loss": (HEAD + LINE.replace(b"0.3", b""), 0),
    "half an iteration": (HEAD + LINE.replace(b"1", b"1.5", 1), 0),
    "the same iteration twice": (HEAD + LINE + LINE, 1),
    "NUL": (HEAD + LINE + b"\0" * 40, 1),
    "a quotation mark": (HEAD + LINE + b'2,"0.6,1,1,2,0.1,9,,\n', 1),
}


@pytest.mark.parametrize(("content", "kept"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_such_table_is_set_aside(tmp_path: Path, content: bytes, kept: int) -> None:
    (tmp_path / METRICS_FILE).write_bytes(content)
    (tmp_path / "metrics_1.csv").write_bytes(b"set aside before")
    table = MetricsTable(tmp_path, TERMS)
    told = table.load(7)
    assert told is not None and "metrics_2.csv" in told and "\n" not in told
    assert (f"its first {kept} rows" if kept else "begins anew") in told
    assert (tmp_path / "metrics_2.csv").read_bytes() == content
    assert iterations(table) == [1][:kept] and not (tmp_path / METRICS_FILE).exists()


def test_a_damage_after_the_state_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + b"5,1.6")
    table = MetricsTable(tmp_path, TERMS)
    assert table.load(3) is None and iterations(table) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / METRICS_FILE
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")
    table = MetricsTable(tmp_path, TERMS)
    told = table.load(7)
    assert told is not None and "metrics_1.csv" in told and not path.exists() and table.rows == []


def test_a_missing_table_is_told_where_rows_were_expected(tmp_path: Path) -> None:
    assert MetricsTable(tmp_path, TERMS).load(None) is None
    assert "begins anew" in (MetricsTable(tmp_path, TERMS).load(5) or "")
