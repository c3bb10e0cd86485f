"""Which images are done together: the parts of a job, which stay what they are when it is resumed."""

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
"""Images in a part: what a killed worker has to do again against the files that a job ends in."""


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
        number: from 0; that of the row group of the plan's file, too.
        entries: its images.
    """

    number: int
    entries: tuple[PlannedEntry, ...]

    @property
    def images(self) -> int:
        """How many it has."""
        return sum(entry.images for entry in self.entries)

    @property
    def fingerprint(self) -> str:
        """Digest of what its images are, with sizes and times of change. Where it stays, a part that is done is so."""
        values = [[e.path, e.first, e.images, e.image_id, e.size, e.mtime] for e in self.entries]
        return hashlib.sha256(to_json(values).encode()).hexdigest()


class Plan:
    """The parts of a job, in a Parquet file whose row groups they are; none is kept in memory."""

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
        """How many there are in all parts."""
        import pyarrow.compute as pc

        return int(pc.sum(self._file.read(columns=["images"])["images"]).as_py() or 0)

    def part(self, number: int) -> Part:
        """One of them."""
        rows = self._file.read_row_group(number, columns=entry_schema().names).to_pylist()
        return Part(number, tuple(PlannedEntry(**row) for row in rows))

    def __iter__(self) -> Iterator[Part]:
        return map(self.part, range(len(self)))

    def table(self) -> pyarrow.Table:
        """All entries, with the number of their part."""
        return self._file.read()


def images_per_part(images: int) -> int:
    """How many a part has where a job has so many: few for small jobs, and never much more than 4,096 parts."""
    return max(_LEAST, min(_MOST, -(-images // _PARTS)))


def write_plan(folder: Place, listed: pyarrow.Table, size: int | None = None) -> Plan:
    """Plan what is listed, or add what is new to the plan that is there; parts of that keep their numbers.

    Args:
        folder: of the job.
        listed: with the columns of `entry_schema`.
        size: images in a part; None to go by the number of images.

    Raises YolactError where a Parquet file was changed, whose rows may be others now, or the plan cannot be written.
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
    """What is known with the sizes and times of now, then what is new in parts of its own."""
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
    """What tells entries apart."""
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
