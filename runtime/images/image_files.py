"""Reads and writes image files; a damaged file is an error, never a half-grey picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from yolact.runtime.errors import ImageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.suffixes import VIDEO_SUFFIXES
from yolact.runtime.output_files import replacing

_VIDEOS_ONLY = set(VIDEO_SUFFIXES) - {".gif"}


def read_image(path: str | PathLike[str], *, upright: bool = True) -> Image:
    """Read an image file.

    Args:
        path: a file in any format OpenCV reads.
        upright: turn it as its EXIF orientation says; otherwise it stays as it is stored.

    Returns:
        (H, W, 3) uint8 BGR. Grayscale is repeated over the channels,
        alpha is dropped and 16 bits become 8 over the full range, so that the network sees what it was trained on.

    Raises:
        ImageError: the file is missing, a folder, a video, unreadable, empty, no image, truncated or damaged.
    """
    return decode_image(read_image_file(Path(path)), str(path), upright=upright)


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file, for `decode_image`. Raises ImageError where it is missing, a folder, a video by its
    name, or unreadable."""
    try:
        if path.suffix.lower() in _VIDEOS_ONLY and path.is_file():  # which may not even fit into memory
            raise ImageError(
                f"{path}: expected an image file, got a video; read its frames with cv2.VideoCapture, or give it to "
                "yolact-infer"
            )
        return path.read_bytes()
    except FileNotFoundError:
        if re.match(r"[a-z]+:/", str(path)):  # Path makes one slash of two
            raise ImageError(f"{path}: expected an image file, got a URL; download the image first") from None
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: expected an image file, got a folder; name the images in it") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error


def decode_image(data: bytes, name: str, *, upright: bool = True) -> Image:
    """Decode the contents of an image file as `read_image` does; `name` stands for it in errors.

    Raises ImageError where the data is empty, no image, truncated or damaged.
    """
    if not data:
        raise ImageError(f"{name}: expected an image, got an empty file")
    kind, is_complete = _recognise(data)
    if is_complete is not None and not is_complete(data):
        raise ImageError(f"{name}: this {kind} is truncated (it has no end after {len(data)} bytes); copy it again")
    try:
        flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # the header asks for more pixels than OpenCV's limit or the memory allow
        raise ImageError(f"{name}: OpenCV cannot decode it ({error.err})") from error
    if image is None and kind is None:
        raise ImageError(f"{name}: this is no image in a format OpenCV reads (JPEG, PNG, WebP, BMP, TIFF, ...)")
    if image is None:
        raise ImageError(f"{name}: this {kind} is damaged or truncated; copy it again")
    return _as_promised(image, name)


def _as_promised(image: npt.NDArray[Any], name: str) -> Image:
    """The image, if it is (H, W, 3) uint8: not every decoder of OpenCV minds the flag that asks for this."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"{name}: expected a format that OpenCV decodes to height x width x 3 of uint8, got "
            f"{' x '.join(map(str, image.shape))} of {image.dtype}; convert the image to PNG"
        )
    return image


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 BGR in the format of the suffix; the file appears whole or not at all.

    Raises:
        ImageError: the format cannot hold an image of this size.
        YolactError: the file cannot be written.
    """
    try:
        encoded = cv2.imencode(path.suffix, image)[1]
    except cv2.error:
        encoded = np.empty(0, np.uint8)
    if len(encoded) == 0:
        height, width = image.shape[:2]
        raise ImageError(f"{path}: {path.suffix} cannot hold {width}x{height} pixels; convert the input to PNG")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(encoded.tobytes())
    except OSError as error:
        raise YolactError(f"cannot write {path}: {error.strerror}") from error


def _recognise(data: bytes) -> tuple[str | None, Callable[[bytes], bool] | None]:
    """The format by its signature, and the test for completeness where OpenCV does not make it reliably."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP", _webp_is_complete
    for signature, kind, is_complete in (
        (b"\xff\xd8", "JPEG", _jpeg_is_complete),
        (b"\x89PNG\r\n\x1a\n", "PNG", _png_is_complete),
        (b"BM", "BMP", None),
        (b"II*\0", "TIFF", None),
        (b"MM\0*", "TIFF", None),
        (b"GIF8", "GIF", None),
    ):
        if data.startswith(signature):
            return kind, is_complete
    return None, None


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
