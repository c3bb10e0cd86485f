"""Reads from the first bytes of an image file its format, and the size of the decoded image."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

Size = tuple[int, int]
"""Width and height, pixels."""

Contents = bytes | mmap.mmap
"""The contents of a file."""


class ImageFormat(NamedTuple):
    """A format that is read.

    Attributes:
        name: as users know it.
        read_size: the size that the header announces, from the file's bytes; None where the header has none.
    """

    name: str
    read_size: Callable[[Contents], Size | None]


def recognise(data: Contents) -> ImageFormat | None:
    """The format by its signature, None for any other than those that can be checked before they are decoded."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ImageFormat("WebP", _webp)
    if data[4:8] == b"ftyp" and re.search(rb"avi[fs]", data[8 : min(200, int.from_bytes(data[:4], "big"))]):
        return ImageFormat("AVIF", _avif)
    return next((ImageFormat(name, read) for start, name, read in _FORMATS if re.match(start, data, re.DOTALL)), None)


def jpeg_segments(data: Contents) -> Iterator[tuple[int, bytes]]:
    """Markers of a JPEG up to its first scan, each with the content of its segment."""
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        marker, start = match.group()[1], match.end()
        end = start + int.from_bytes(data[start : start + 2], "big")
        yield marker, data[start + 2 : end]
        if marker == _START_OF_SCAN:
            return
        position = max(end, start)


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd8]")
_START_OF_SCAN = 0xDA
_FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def _unpack(form: str, data: Contents, offset: int) -> tuple[int, ...] | None:
    try:
        return struct.unpack_from(form, data, offset)
    except (struct.error, OverflowError):  # it ends before, as it does before an offset of 64 bits
        return None


def _jpeg(data: Contents) -> Size | None:
    _, segment = _jpeg_frame(data)
    found = _unpack(">HH", segment, 1)
    return None if found is None else (found[1], found[0])


def jpeg_obstacle(data: Contents) -> str:
    """Why OpenCV does not decode a JPEG that is whole; empty where it should."""
    marker, segment = _jpeg_frame(data)
    if marker & 3 == 3:
        return "lossless compression"
    return f"{segment[0]} bits a value" if segment and segment[0] != 8 else ""


def _jpeg_frame(data: Contents) -> tuple[int, bytes]:
    """The marker that begins the frame and the content of its segment; empty without one."""
    return next((found for found in jpeg_segments(data) if found[0] in _FRAME_MARKERS), (0, b""))


def _png(data: Contents) -> Size | None:
    found = _unpack(">II", data, 16)
    return None if found is None else (found[0], found[1])


def _webp(data: Contents) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    found = _unpack("<HH", data, 26)
    return None if found is None else (found[0] & 0x3FFF, found[1] & 0x3FFF)


def _bmp(data: Contents) -> Size | None:
    is_old = data[14:18] == b"\x0c\0\0\0"
    found = _unpack("<HH" if is_old else "<ii", data, 18)
    return None if found is None else (abs(found[0]), abs(found[1]))


def _gif(data: Contents) -> Size | None:
    found = _unpack("<HH", data, 6)
    return None if found is None else (found[0], found[1])


def _tiff(data: Contents) -> Size | None:
    """The size of the first page, the only one that is read."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    offset, width = ("Q", 8) if is_big else ("I", 4)
    start = _unpack(order + offset, data, width)
    count = None if start is None else _unpack(order + ("Q" if is_big else "H"), data, start[0])
    if start is None or count is None:
        return None
    first, length = start[0] + (8 if is_big else 2), 4 + 2 * width
    tags: dict[int, int] = {}
    for position in range(first, first + min(count[0], len(data) // length) * length, length):
        entry = _unpack(order + "HH", data, position)
        form = None if entry is None else {1: "B", 3: "H", 4: "I", 16: "Q"}.get(entry[1])
        value = None if form is None else _unpack(order + form, data, position + 4 + width)
        if entry is not None and value is not None:
            tags[entry[0]] = value[0]
    return (tags[256], tags[257]) if {256, 257} <= tags.keys() else None


def _jpeg2000(data: Contents) -> Size | None:
    position = data.find(b"\xff\x4f\xff\x51")
    found = None if position < 0 else _unpack(">IIII", data, position + 8)
    return None if found is None else (found[0] - found[2], found[1] - found[3])


def _avif(data: Contents) -> Size | None:
    """The largest of the images in the file: thumbnails, tiles and transparency are images too."""
    sizes = [struct.unpack(">II", size) for size in re.findall(rb"ispe\0{4}(.{8})", data, re.DOTALL)]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _netpbm(data: Contents) -> Size | None:
    text = re.sub(rb"#[^\n]*", b"", data[2:2000])
    match = re.match(rb"\s+(\d{1,12})\s+(\d{1,12})\s", text)
    return None if match is None else (int(match[1]), int(match[2]))


def _pam(data: Contents) -> Size | None:
    found = [re.search(rb"^%s\s+(\d{1,12})\s*$" % word, data[:2000], re.MULTILINE) for word in (b"WIDTH", b"HEIGHT")]
    width, height = found
    return None if width is None or height is None else (int(width[1]), int(height[1]))


def _radiance(data: Contents) -> Size | None:
    match = re.search(rb"^-Y (\d{1,12}) \+X (\d{1,12})\s*$", data[:10_000], re.MULTILINE)
    return None if match is None else (int(match[2]), int(match[1]))


_FORMATS: tuple[tuple[bytes, str, Callable[[Contents], Size | None]], ...] = (
    (rb"\xff\xd8", "JPEG", _jpeg),
    (rb"\x89PNG\r\n\x1a\n", "PNG", _png),
    (rb"BM", "BMP", _bmp),
    (rb"II[*+]\0|MM\0[*+]", "TIFF", _tiff),
    (rb"GIF8", "GIF", _gif),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000", _jpeg2000),
    (rb"P[1-6Ff]\s", "Netpbm image", _netpbm),
    (rb"P7\s", "Netpbm image", _pam),
    (rb"#\?(RADIANCE|RGBE)", "Radiance image", _radiance),
)
"""Signatures, which are regular expressions; names; and where the size is."""
