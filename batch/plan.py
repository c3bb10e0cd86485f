"""The parts of a job, whose images are done together; they stay the same when the job is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

from yolact.batch.listing import entry_schema
from yolact.batch.places import Place
from yolact.runtime.errors import YolactError
from yolact.runtime.json_text import to_json
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

FILE = "plan.parquet"

_LEAST, _MOST, _PARTS = 64, 1024, 4096
"""Fewest and most images in a part, and the number of parts to aim at. Small parts lose less work when a worker is
killed, large parts make fewer files."""


@dataclass(frozen=True)
class PlannedEntry:
    """An image file, or some rows of a Parquet file: see `entry_schema`."""

    path: str
    first: int | None
    images: int
    image_id: int | None
    size: int
    mtime: int


@dataclass(frozen=True)
class Part:
    """Some images whose results are one file.

    Attributes:
        number: from 0; also the number of its row group in the plan's file.
        entries: its images.
    """

    number: int
    entries: tuple[PlannedEntry, ...]

    @property
    def images(self) -> int:
        """Number of its images."""
        return sum(entry.images for entry in self.entries)

    @property
    def fingerprint(self) -> str:
        """Digest of its images, their sizes and times of change. A part stays done while its fingerprint stays."""
        values = [[e.path, e.first, e.images, e.image_id, e.size, e.mtime] for e in self.entries]
        return hashlib.sha256(to_json(values).encode()).hexdigest()


class Plan:
    """The parts of a job, each a row group of a Parquet file; none is kept in memory."""

    def __init__(self, file: ParquetFile) -> None:
        self._file = file

    @classmethod
    def open(cls, folder: Place) -> Plan:
        """The plan in the folder of a job. Raises YolactError where it cannot be read."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        place = folder / FILE
        try:
            file = ParquetFile(place.path, filesystem=place.filesystem)
        except (OSError, pa.ArrowException) as error:
            raise YolactError(f"{place.name}: {one_line(error)}; give another --output") from None
        if not file.schema_arrow.equals(_planned_schema()):
            raise YolactError(f"{place.name} has other columns than expected; give another --output")
        return cls(file)

    def __len__(self) -> int:
        return int(self._file.metadata.num_row_groups)

    @property
    def images(self) -> int:
        """Number of images in all parts."""
        import pyarrow.compute as pc

        return int(pc.sum(self._file.read(columns=["images"])["images"]).as_py() or 0)

    def part(self, number: int) -> Part:
        """One part, by its number."""
        rows = self._file.read_row_group(number, columns=entry_schema().names).to_pylist()
        return Part(number, tuple(PlannedEntry(**row) for row in rows))

    def __iter__(self) -> Iterator[Part]:
        return map(self.part, range(len(self)))

    def table(self) -> pyarrow.Table:
        """All entries, with the number of their part."""
        return self._file.read()


def images_per_part(images: int) -> int:
    """Images in each part of a job with this many images: few for small jobs, and never much more than 4,096 parts."""
    return max(_LEAST, min(_MOST, -(-images // _PARTS)))


def write_plan(folder: Place, listed: pyarrow.Table, size: int | None = None) -> Plan:
    """Plan the listed entries, or add new ones to the existing plan, whose parts keep their numbers.

    Args:
        folder: of the job.
        listed: a table with the columns of `entry_schema`.
        size: images in a part; None to choose by the number of images.

    Raises YolactError where a Parquet file was changed, as its rows may be others now, or the plan cannot be written.
    """
    import pyarrow.parquet as pq

    place = folder / FILE
    known = Plan.open(folder).table() if place.kind() == "file" else _planned_schema().empty_table()
    table = _extend(known, listed, folder, size)
    buffer = BytesIO()
    with pq.ParquetWriter(buffer, _planned_schema()) as writer:
        for first, count in _row_groups(table):
            writer.write_table(table.slice(first, count), row_group_size=count)
    try:
        place.write(buffer.getvalue())
    except OSError as error:
        raise YolactError(f"cannot write {place.name}: {one_line(error)}; choose another --output") from None
    return Plan.open(folder)


def _planned_schema() -> pyarrow.Schema:
    import pyarrow as pa

    return entry_schema().append(pa.field("part", pa.int64(), nullable=False))


def _extend(known: pyarrow.Table, listed: pyarrow.Table, folder: Place, size: int | None) -> pyarrow.Table:
    """The known entries with their present sizes and times, then the new entries, in parts of their own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    here = pc.index_in(_keys(known), value_set=_keys(listed))
    for name in ("size", "mtime"):
        now = pc.coalesce(pc.take(listed[name], here), known[name])
        _refuse_changed_tables(known, pc.not_equal(now, known[name]), folder)
        field = known.schema.field(name)
        known = known.set_column(known.schema.get_field_index(name), field, now)
    new = listed.filter(pc.is_null(pc.index_in(_keys(listed), value_set=_keys(known))))
    start = int(pc.max(known["part"]).as_py()) + 1 if len(known) else 0
    per_part = size or images_per_part(int(pc.sum(listed["images"]).as_py()))
    parts = pa.array(_deal(new["images"].to_pylist(), start, per_part), pa.int64())
    schema = _planned_schema()
    return pa.concat_tables([known.cast(schema), new.append_column(schema.field("part"), parts)]).combine_chunks()


def _refuse_changed_tables(known: pyarrow.Table, changed: pyarrow.ChunkedArray, folder: Place) -> None:
    import pyarrow.compute as pc

    wrong = known.filter(pc.and_(changed, pc.is_valid(known["first"])))
    if len(wrong):
        raise YolactError(
            f"{wrong['path'][0].as_py()} has changed since {folder.name} was begun, so its rows may be others; give "
            "another --output"
        )


def _keys(table: pyarrow.Table) -> pyarrow.ChunkedArray:
    """A key for each entry, equal only for the same entry."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [pc.fill_null(table[name].cast(pa.string()), "") for name in ("path", "first", "image_id")]
    return pc.binary_join_element_wise(*texts, "\0")


def _deal(images: list[int], start: int, size: int) -> Iterator[int]:
    """The part of each entry: a part is full once it has `size` images."""
    part, held = start, 0
    for count in images:
        if held >= size:
            part, held = part + 1, 0
        held += count
        yield part


def _row_groups(table: pyarrow.Table) -> Iterator[tuple[int, int]]:
    """First entry and number of entries of each part."""
    import numpy as np

    parts = table["part"].to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(parts)]
    yield from ((a, b - a) for a, b in pairwise(starts) if b > a)
