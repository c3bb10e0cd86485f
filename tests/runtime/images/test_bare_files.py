"""What an image file says besides its pixels, however odd, is no reason to refuse them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import PIL.Image
import PIL.TiffImagePlugin
import pytest

from yolact.runtime.images.decoding import decode_image

NOISE = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)


def pillow(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(NOISE).save(buffer, form, **options)
    return buffer.getvalue()


PNG, JPEG, GIF, TIFF = pillow("PNG"), pillow("JPEG"), pillow("GIF"), pillow("TIFF")


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def odd(kind: str, inserted: bytes, before: bytes | None = None) -> tuple[bytes, bytes]:
    """An intact file of the kind, and one with bytes inserted after its header, or before some that it has."""
    data = {"PNG": PNG, "JPEG": JPEG, "GIF": GIF}[kind]
    place = {"PNG": 33, "JPEG": 2, "GIF": 13 + 3 * 256}[kind] if before is None else data.index(before)
    return data, data[:place] + inserted + data[place:]


def tagged_tiff(tag: int, form: int, value: Any) -> tuple[bytes, bytes]:
    entries = PIL.TiffImagePlugin.ImageFileDirectory_v2()
    entries.tagtype[tag] = form
    entries[tag] = value
    return TIFF, pillow("TIFF", tiffinfo=entries)


HARMLESS = {
    **{f"TIFF, orientation {value}": tagged_tiff(274, 3, value) for value in (0, 9, 255, 65535)},
    "TIFF, unit of resolution": tagged_tiff(296, 3, 77),
    "TIFF, order of bits": tagged_tiff(266, 3, 9),
    "TIFF, private tag": tagged_tiff(65000, 2, "hello"),
    "TIFF, colour profile": tagged_tiff(34675, 7, b"junk"),
    "PNG, gamma": odd("PNG", chunk(b"gAMA", b"xx")),
    "PNG, gamma twice": odd("PNG", 2 * chunk(b"gAMA", struct.pack(">I", 45455))),
    "PNG, colour profile": odd("PNG", chunk(b"iCCP", b"x\0\0" + zlib.compress(b"junk" * 50))),
    "PNG, checksum of a text": odd("PNG", chunk(b"tEXt", b"a\0b", 1)),
    "PNG, time": odd("PNG", chunk(b"tIME", b"\xff" * 7)),
    "PNG, animation of nothing": odd("PNG", chunk(b"acTL", bytes(8))),
    "PNG, frame of no animation": odd("PNG", chunk(b"fcTL", bytes(26))),
    "PNG, chunk of a bad name": odd("PNG", chunk(b"abcd", b"")),
    "PNG, bytes after it": (PNG, PNG + b"junk"),
    "JPEG, unknown revision": odd("JPEG", b"\xff\xe0\0\x10JFIF\0\x09\x09" + bytes(7)),
    "JPEG, unknown segment": odd("JPEG", b"\xff\xe9\0\x04ab"),
    "JPEG, reserved segment": odd("JPEG", b"\xff\xf0\0\x04ab"),
    "JPEG, EXIF data": odd("JPEG", b"\xff\xe1\0\x0cExif\0\0junk"),
    "JPEG, bytes between segments": odd("JPEG", bytes(20), b"\xff\xc4"),
    "JPEG, bytes before the first scan": odd("JPEG", b"\xff\0ab", b"\xff\xda"),
    "GIF, metadata of Adobe": odd("GIF", b"\x21\xff\x0bXMP DataXMP\x03abc\0"),
    "GIF, comment": odd("GIF", b"\x21\xfe\x03abc\x02de\0"),
    "GIF, unknown extension": odd("GIF", b"\x21\x77\x03abc\0"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_metadata_is_no_damage(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    intact, data = HARMLESS[name]
    assert data != intact
    np.testing.assert_array_equal(decode_image(data, "a"), decode_image(intact, "a"))
    assert capfd.readouterr().err == ""
