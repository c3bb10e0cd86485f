"""What the first bytes of an image file say: its size and the orientation that its EXIF data asks for."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from yolact.training.data.segmentations import Size

UPRIGHT = 1
"""Orientation of an image that is stored as it is to be shown, or says nothing about it."""

_ORIENTATION_TAG = 0x0112
_START_OF_SCAN = 0xDA
_STARTS_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_MOST_TAGS = 1000


class Header(NamedTuple):
    """Of JPEG, PNG and WebP files; others, and what cannot be read, say nothing.

    Attributes:
        size: (height, width) as stored, pixels; None where nothing is said.
        orientation: 1 to 8 as EXIF numbers them: 2 to 4 keep height and width, 5 to 8 swap them.
    """

    size: Size | None = None
    orientation: int = UPRIGHT

    @property
    def upright_size(self) -> Size | None:
        """(height, width) after the orientation is applied."""
        return self.size if self.size is None or self.orientation <= 4 else (self.size[1], self.size[0])


def read_header(path: Path) -> Header:
    """Never raises: whether a file is an image is found out by reading it whole."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size, tiff = _parse(data)
            found = UPRIGHT if tiff is None else _orientation(data, tiff)
    except (OSError, ValueError, IndexError, struct.error):  # empty, cut off, or no such file
        return Header()
    return Header(size, found if 1 <= found <= 8 else UPRIGHT)


def _parse(data: mmap.mmap) -> tuple[Size | None, int | None]:
    """The size, and where the TIFF structure begins that EXIF data consists of."""
    if data[:2] == b"\xff\xd8":
        return _parse_jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack_from(">II", data, 16)
        return (height, width), _find_chunk(data, 8, ">", b"eXIf", length_first=True)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data), _find_chunk(data, 12, "<", b"EXIF", length_first=False)
    return None, None


def _parse_jpeg(data: mmap.mmap) -> tuple[Size | None, int | None]:
    at, size, tiff = 2, None, None
    while data[at] == 0xFF and (marker := data[at + 1]) != _START_OF_SCAN:
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0" and tiff is None:
            tiff = at + 10
        if marker in _STARTS_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = height, width
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return size, tiff


def _webp_size(data: mmap.mmap) -> Size | None:
    """Of the first chunk, which is one of three."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        bits = int(struct.unpack_from("<I", data, 21)[0])
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return None


def _find_chunk(data: mmap.mmap, start: int, order: str, wanted: bytes, *, length_first: bool) -> int | None:
    """Where the content of a chunk begins: those of PNG are length, name, content and checksum, of WebP name, length
    and content."""
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
