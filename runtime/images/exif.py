"""The orientation that the EXIF data of an image file asks for."""

from __future__ import annotations

import struct

from yolact.runtime.images.image_header import Contents, jpeg_segments

UPRIGHT = 1
"""Orientation of an image that is stored as it is to be shown, or says nothing about it."""

_EXIF = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_APP1 = 0xE1
_MOST_TAGS = 1000


def exif_orientation(data: Contents) -> int:
    """1 to 8 as EXIF numbers them: 2 to 4 keep height and width, 5 to 8 swap them.

    JPEG, PNG and WebP files are read; others, and data that is cut off or damaged, count as upright.
    """
    try:
        found = _tagged(_exif_data(data))
    except struct.error:  # cut off
        return UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def _exif_data(data: Contents) -> bytes:
    """The TIFF structure that EXIF data consists of; empty without one."""
    if data[:2] == b"\xff\xd8":
        segments = (segment for marker, segment in jpeg_segments(data) if marker == _APP1)
        return next((segment for segment in segments if segment.startswith(_EXIF)), b"").removeprefix(_EXIF)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _chunk(data, 8, ">", b"eXIf", length_first=True)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _chunk(data, 12, "<", b"EXIF", length_first=False).removeprefix(_EXIF)
    return b""


def _chunk(data: Contents, start: int, order: str, wanted: bytes, *, length_first: bool) -> bytes:
    """The content of a chunk: PNG has length, name, content and checksum in a chunk, WebP name, length and content."""
    at = start
    while at + 8 <= len(data):
        name = data[at + 4 : at + 8] if length_first else data[at : at + 4]
        length = int(struct.unpack_from(f"{order}I", data, at if length_first else at + 4)[0])
        if name == wanted:
            return data[at + 8 : at + 8 + length]
        at += 12 + length if length_first else 8 + length + length % 2
    return b""


def _tagged(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    first = int(struct.unpack_from(f"{order}I", tiff, 4)[0])
    count = int(struct.unpack_from(f"{order}H", tiff, first)[0])
    for number in range(min(count, _MOST_TAGS)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * number)
        if tag == _ORIENTATION_TAG:
            return int(value)
    return UPRIGHT
