"""Lists the images of an input: a folder, a pattern, one image, a COCO annotation file, or Parquet files with bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yolact.batch.coco_images import read_image_names
from yolact.batch.parquet_images import find_column, row_ranges
from yolact.batch.places import Entry, Place, open_place
from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.images.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

if TYPE_CHECKING:
    import pyarrow

PARQUET_SUFFIXES = (".parquet", ".pq")
_MAGIC = re.compile(r"[*?[]")
_QUERY = re.compile(r"\?\w+=[^/]*$")
"""Options of a URI's file system, such as ``?region=eu-north-1``."""


@dataclass(frozen=True)
class Listing:
    """The images of an input.

    Attributes:
        name: of the input, for people, without passwords.
        place: a place in the file system of all paths.
        column: for Parquet files, the column with the bytes of images; else None.
        entries: a table with the columns of `entry_schema`, in the order of the input.
    """

    name: str
    place: Place
    column: str | None
    entries: pyarrow.Table


def entry_schema() -> pyarrow.Schema:
    """Columns of a listing. An entry is an image file, or some rows of a Parquet file.

    ``path`` in the file system; ``first`` row in a Parquet file, null for an image file; number of ``images`` in the
    entry; ``image_id`` in a COCO file, else null; ``size`` of the file in bytes, -1 where it is missing; ``mtime`` of
    the file in nanoseconds.
    """
    import pyarrow as pa

    whole = pa.int64()
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("first", whole),
            pa.field("images", whole, nullable=False),
            pa.field("image_id", whole),
            pa.field("size", whole, nullable=False),
            pa.field("mtime", whole, nullable=False),
        ]
    )


def list_images(uri: str, images: str | None = None, column: str | None = None) -> Listing:
    """List the images of an input.

    Args:
        uri: a path or a URI. A folder means the images or the Parquet files in it, without those in folders below and
            those whose names begin with a dot; ``**`` in a pattern matches folders below. A name that ends in .json is
            an annotation file.
        images: the folder of an annotation file's images, None for the folder of that file.
        column: the column of Parquet files with the bytes of images, None where only one is possible.

    Raises:
        ImageError: there is no image.
        UsageError: options belong to another kind of input, or the URI is not understood.
        DatasetError: the annotation file or a Parquet file cannot be read.
        YolactError: the file system gives no answer.
    """
    if re.search(r"\.json$", uri, re.IGNORECASE):
        if column is not None:
            raise UsageError(f"--column is for Parquet files; {uri} is an annotation file")
        return _annotated(uri, images)
    if images is not None:
        raise UsageError(f"--images is for an annotation file (.json), and {uri} is none")
    name, place, found = _find(uri)
    tables = [entry for entry in found if _ends_in(entry.path, PARQUET_SUFFIXES)]
    if tables and len(tables) < len(found):
        raise UsageError(f"{place.name} holds images and Parquet files; choose by a pattern such as '*.parquet'")
    if tables:
        chosen = find_column([place.at(entry.path) for entry in tables], column)
        ranges = [(entry, *rows) for entry in tables for rows in row_ranges(place.at(entry.path))]
        return Listing(name, place, chosen, _table((entry, first, count, None) for entry, first, count in ranges))
    if column is not None:
        raise UsageError(f"--column is for Parquet files; {place.name} has images")
    return Listing(name, place, None, _table((entry, None, 1, None) for entry in found))


def _annotated(uri: str, images: str | None) -> Listing:
    file = open_place(uri)
    names = read_image_names(file)
    folder = open_place(images) if images is not None else file.at(file.path.rpartition("/")[0] or "/")
    if folder.kind() != "folder":
        raise ImageError(
            f"{folder.name}: there is no such folder; give the folder of the annotated images with --images"
        )
    paths = {id: (folder / name).path for id, name in names.items()}
    entries = folder.describe(list(paths.values()))
    if all(entry.size < 0 for entry in entries):
        raise ImageError(f"{folder.name} holds none of the images of {file.name}; give their folder with --images")
    rows = zip(entries, paths, strict=True)
    return Listing(file.name, folder, None, _table((entry, None, 1, id) for entry, id in rows))


def _find(uri: str) -> tuple[str, Place, list[Entry]]:
    """Name, place and files of a folder, a pattern or a file. Raises ImageError where there are none."""
    if not uri:
        _nothing("empty --input", "there is no such file or folder")
    base, pattern = _split(uri)
    place = open_place(base)
    kind = place.kind()
    if pattern:
        matches = _matcher(pattern)
        under = place.path.rstrip("/") + "/"
        found = [
            entry
            for entry in place.entries(deep="/" in pattern or "**" in pattern)
            if matches(entry.path[len(under) :]) and _is_taken(entry.path[len(under) :])
        ]
        name = f"{place.name.rstrip('/')}/{pattern}"
        return name, place, found or _nothing(name, "no image or Parquet file matches this pattern")
    if kind == "folder":
        found = [entry for entry in place.entries() if _is_taken(entry.path.rpartition("/")[2])]
        return (
            place.name,
            place,
            found
            or _nothing(
                place.name, f"the folder holds no image ({', '.join(IMAGE_SUFFIXES)}); folders in it are not searched"
            ),
        )
    if kind != "file":
        _nothing(place.name, "there is no such file or folder")
    if _ends_in(place.path, VIDEO_SUFFIXES):
        _nothing(place.name, "expected images, got a video; yolact-infer takes videos")
    return place.name, place, place.describe([place.path])


def _nothing(name: str, reason: str) -> list[Entry]:
    raise ImageError(f"{name}: {reason}")


def _split(uri: str) -> tuple[str, str]:
    """The folder above the first pattern in a name, and the rest; the whole name and nothing where it has no pattern.

    The name of an existing file or folder of this machine is never a pattern.
    """
    if not _MAGIC.search(uri) or os.path.lexists(uri):
        return uri, ""
    query = found[0] if "://" in uri and (found := _QUERY.search(uri)) else ""
    parts = uri.removesuffix(query).split("/")
    at = next((index for index, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    base = "/".join(parts[:at]) or ("/" if uri.startswith("/") else ".")
    return base + query, "/".join(parts[at:])


def _matcher(pattern: str):  # type: ignore[no-untyped-def]
    """Whether a path below the folder matches: ``*`` and ``?`` inside a name, ``**`` any folders."""
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern)).match


def _is_taken(path: str) -> bool:
    """Whether a file is listed, by its name below the folder; names that begin with a dot are hidden."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return not hidden and _ends_in(path, (*IMAGE_SUFFIXES, *PARQUET_SUFFIXES))


def _ends_in(path: str, suffixes: Sequence[str]) -> bool:
    return path.lower().endswith(tuple(suffixes))


def _table(rows: Iterator[tuple[Entry, int | None, int, int | None]]) -> pyarrow.Table:
    """Entries with first row, number of images and id of the image as a table with the columns of `entry_schema`."""
    import pyarrow as pa

    columns: tuple[list[object], ...] = ([], [], [], [], [], [])
    for (path, size, mtime), first, count, id in rows:
        for column, value in zip(columns, (path, first, count, id, size, mtime), strict=True):
            column.append(value)
    return pa.table(dict(zip(entry_schema().names, columns, strict=True)), schema=entry_schema())
