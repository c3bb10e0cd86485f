"""The orientation that the EXIF data of an image file asks for."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

UPRIGHT = 1
"""Of an image that is stored as it is to be shown, or says nothing about it."""

_ORIENTATION_TAG = 0x0112
_START_OF_SCAN = 0xDA
_MOST_TAGS = 1000


def orientation_of(path: Path) -> int:
    """1 to 8 as EXIF numbers them, of JPEG, PNG and WebP files; 1 of others, and of what cannot be read.

    2 to 4 keep height and width, 5 to 8 swap them.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            tiff = _find_tiff(data)
            found = UPRIGHT if tiff is None else _orientation(data, tiff)
    except (OSError, ValueError, IndexError, struct.error):  # empty, cut off, or no such file
        return UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def _find_tiff(data: mmap.mmap) -> int | None:
    """Where the TIFF structure begins that EXIF data consists of."""
    if data[:2] == b"\xff\xd8":
        return _in_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _in_chunks(data, 8, ">", b"eXIf", length_first=True)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _in_chunks(data, 12, "<", b"EXIF", length_first=False)
    return None


def _in_jpeg(data: mmap.mmap) -> int | None:
    at = 2
    while data[at] == 0xFF and data[at + 1] != _START_OF_SCAN:
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return at + 10
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _in_chunks(data: mmap.mmap, start: int, order: str, wanted: bytes, *, length_first: bool) -> int | None:
    """In a list of chunks: of PNG with length, name, content and checksum, of WebP with name, length and content."""
    at = start
    while at + 8 <= len(data):
        name = data[at + 4 : at + 8] if length_first else data[at : at + 4]
        length = int(struct.unpack_from(f"{order}I", data, at if length_first else at + 4)[0])
        if name == wanted:
            begin = at + 8
            return begin + 6 if data[begin : begin + 6] == b"Exif\0\0" else begin
        at += 12 + length if length_first else 8 + length + length % 2
    return None


def _orientation(data: mmap.mmap, tiff: int) -> int:
    order = {b"II": "<", b"MM": ">"}.get(data[tiff : tiff + 2], "<")
    first = tiff + int(struct.unpack_from(f"{order}I", data, tiff + 4)[0])
    count = int(struct.unpack_from(f"{order}H", data, first)[0])
    for number in range(min(count, _MOST_TAGS)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, first + 2 + 12 * number)
        if tag == _ORIENTATION_TAG:
            return int(value)
    return UPRIGHT
