"""Removes metadata from image files, since decoders may report faulty metadata as a fault of the picture."""

from __future__ import annotations

import re
from collections.abc import Callable


def without_metadata(data: bytes, kind: str) -> bytes:
    """The file of the format `kind` without its metadata, other than EXIF data; as it is where there are none to leave
    out, or where its structure is damaged."""
    try:
        return _WRITERS[kind](data) or data if kind in _WRITERS else data
    except IndexError:  # it ends inside a block
        return data


_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_NEEDED = {0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE} | {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC)}
"""Tables, frames, and the segments that tell colours and EXIF data."""

_SCAN = 0xDA


def _bare_jpeg(data: bytes) -> bytes:
    """Also without bytes between the segments. From the first scan on nothing is left out, as it may be damage."""
    kept, position = [data[:2]], 2
    while match := _JPEG_MARKER.search(data, position):
        marker, start = match[1][0], match.end()
        if marker == _SCAN:
            return b"".join([*kept, b"\xff\xda", data[start:]])
        position = start + int.from_bytes(data[start : start + 2], "big")
        if marker in _NEEDED:
            kept.append(bytes([0xFF, marker]) + data[start:position])
    return b""


def _bare_png(data: bytes) -> bytes:
    """Critical chunks, whose names begin with a capital letter."""
    kept, position = [data[:8]], 8
    while position < len(data):
        name, end = (
            data[position + 4 : position + 8],
            position + 12 + int.from_bytes(data[position : position + 4], "big"),
        )
        if name[:1].isupper() or name == b"eXIf":
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


_GIF_EXTENSION, _GIF_IMAGE, _GIF_END, _GIF_CONTROL = 0x21, 0x2C, 0x3B, 0xF9


def _bare_gif(data: bytes) -> bytes:
    """Without comments and blocks of applications, of which OpenCV 5 takes no more than one."""
    position = 13 + _gif_colours(data[10])
    kept = [data[:position]]
    while data[position] != _GIF_END:
        start = position
        if data[start] == _GIF_EXTENSION:
            position += 2
        elif data[start] == _GIF_IMAGE:
            position += 11 + _gif_colours(data[start + 9])
        else:
            return b""
        while data[position]:  # blocks of at most 255 bytes
            position += 1 + data[position]
        position += 1
        if data[start] == _GIF_IMAGE or data[start + 1] == _GIF_CONTROL:
            kept.append(data[start:position])
    return b"".join([*kept, data[position:]])


def _gif_colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


_WRITERS: dict[str, Callable[[bytes], bytes]] = {"JPEG": _bare_jpeg, "PNG": _bare_png, "GIF": _bare_gif}
