"""Checks that an image file has its end, where OpenCV does not check this or lets another library print."""

from __future__ import annotations

import re
from collections.abc import Callable


def is_complete(data: bytes, kind: str) -> bool:
    """Whether the end of the file is there, as far as the format `kind` tells."""
    return kind not in _TESTS or _TESTS[kind](data)


# A marker byte after 0xFF, other than what belongs to compressed data: stuffed zeros, restarts, fill bytes.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_END = 0xD9


def _jpeg_is_complete(data: bytes) -> bool:
    """Whether the end marker is reached. OpenCV 4 fills what is missing with grey and reports nothing.

    Segments are skipped by their length, so that the end of an embedded thumbnail is not taken for it; the
    search then runs over the compressed data of a scan up to the next marker.
    """
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        if match.group()[1] == _JPEG_END:
            return True
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return False


def _png_is_complete(data: bytes) -> bool:
    """Whether the chunks lead to IEND. OpenCV refuses too, but libpng prints its own message first."""
    position = 8
    while position + 12 <= len(data):
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def _webp_is_complete(data: bytes) -> bool:
    """Whether all bytes the RIFF header announces are there."""
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


_TESTS: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg_is_complete,
    "PNG": _png_is_complete,
    "WebP": _webp_is_complete,
}
