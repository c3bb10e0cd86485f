"""Image files with an EXIF orientation, made byte by byte."""

from __future__ import annotations

import struct
import zlib
from typing import Literal

import cv2
import numpy as np

ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")


def exif(orientation: int, order: Literal["<", ">"] = "<") -> bytes:
    """A TIFF structure of two entries: ImageWidth, and tag 0x0112 as a SHORT."""
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    entries = [struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in ((0x0100, 6), (0x0112, orientation))]
    return header + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)


def jpeg(pixels: np.ndarray, orientation: int, order: Literal["<", ">"] = "<") -> bytes:
    """The EXIF segment follows the one that JFIF begins with."""
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    end = 4 + struct.unpack(">H", data[4:6])[0]
    body = b"Exif\0\0" + exif(orientation, order)
    return data[:end] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[end:]


def png(pixels: np.ndarray, orientation: int, order: Literal["<", ">"] = "<") -> bytes:
    data, body = cv2.imencode(".png", pixels)[1].tobytes(), b"eXIf" + exif(orientation, order)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def webp(pixels: np.ndarray, orientation: int, order: Literal["<", ">"] = "<") -> bytes:
    """The extended form, whose header says that EXIF data follows the pixels."""
    height, width = pixels.shape[:2]
    plain = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    head = (
        b"VP8X" + struct.pack("<IB3x", 10, 8) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    body = exif(orientation, order)
    chunks = b"WEBP" + head + plain[12:] + b"EXIF" + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


WRITERS = {".jpg": jpeg, ".png": png, ".webp": webp}
