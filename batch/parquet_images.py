"""Images as bytes in the rows of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from yolact.batch.places import Place
from yolact.runtime.errors import DatasetError, UsageError
from yolact.runtime.wording import list_some, one_line

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

MOST_ROWS = 1000
"""Most rows in one entry of a plan. Row groups with more are read several times, each time from their beginning."""

_ROWS_IN_MEMORY = 16
_LIKELY = ("image", "bytes", "content", "data", "jpg", "png")


def open_parquet(place: Place) -> ParquetFile:
    """The file, of which only the end is read. Raises DatasetError where it cannot be read or is no Parquet file."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(place.path, filesystem=place.filesystem)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{place.name}: {one_line(error)}; expected a Parquet file") from None


def find_column(files: Sequence[Place], wanted: str | None) -> str:
    """The column that holds the bytes of images, in every file: binary, or a struct with a field ``bytes``.

    Raises DatasetError where a file lacks it, UsageError where several columns are possible.
    """
    chosen = wanted
    for file in files:
        schema = open_parquet(file).schema_arrow
        fit = [field.name for field in schema if _has_bytes(field.type)]
        if chosen is None and len(fit) > 1:
            likely = [name for name in _LIKELY if name in fit]
            if not likely:
                raise UsageError(f"{file.name} has several columns of bytes ({list_some(fit, 5)}); choose by --column")
            fit = likely[:1]
        if chosen is None and fit:
            chosen = fit[0]
        if chosen not in fit:
            has = list_some([f"{field.name}: {field.type}" for field in schema], 5) or "none"
            what = "of bytes" if chosen is None else f"of bytes called {chosen}"
            raise DatasetError(f"{file.name} has no column {what}; its columns are {has}")
    assert chosen is not None
    return chosen


def row_ranges(file: Place) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each range that is read at once: a row group, or a piece of a large one."""
    metadata, start = open_parquet(file).metadata, 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        for first in range(start, start + rows, MOST_ROWS):
            yield first, min(MOST_ROWS, start + rows - first)
        start += rows


def read_rows(file: Place, column: str, first: int, count: int) -> Iterator[bytes | None]:
    """The bytes in some rows, with a few rows in memory at a time; None for a row without bytes.

    Raises DatasetError where rows cannot be read or are missing.
    """
    import pyarrow as pa

    opened, skipped, start, end = open_parquet(file), 0, first, first + count
    try:
        for group in range(opened.metadata.num_row_groups):
            rows = opened.metadata.row_group(group).num_rows
            if skipped + rows > start and skipped < end:
                for row, value in enumerate(_values(opened, column, group), skipped):
                    if row >= end:
                        return
                    if row >= start:
                        yield value
            skipped += rows
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{file.name}: {one_line(error)}; copy the file again") from None
    if skipped < end:
        raise DatasetError(f"{file.name} has {skipped} rows now, expected {end}; it was changed while it was read")


def _values(opened: ParquetFile, column: str, group: int) -> Iterator[bytes | None]:
    for batch in opened.iter_batches(_ROWS_IN_MEMORY, row_groups=[group], columns=[column]):
        values = batch.column(0)
        if _is_struct(values.type):
            values = values.field("bytes")
        for value in values:
            yield value.as_py()


def _is_struct(type: pyarrow.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(type))


def _has_bytes(type: pyarrow.DataType) -> bool:
    import pyarrow as pa

    if _is_struct(type):
        inner = [field.type for field in type if field.name == "bytes"]
        return bool(inner) and _has_bytes(inner[0])
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type))
