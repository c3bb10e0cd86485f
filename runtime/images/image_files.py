"""Reads and writes image files."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import cv2
import numpy as np

from yolact.runtime.errors import ImageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.suffixes import VIDEO_SUFFIXES
from yolact.runtime.input_files import read_file
from yolact.runtime.output_files import replacing

_VIDEOS_ONLY = set(VIDEO_SUFFIXES) - {".gif"}


def read_image(path: str | PathLike[str], *, upright: bool = True) -> Image:
    """Read an image file.

    Args:
        path: a file in a format that OpenCV reads and whose size is in its header: JPEG, PNG, WebP, AVIF, GIF, BMP,
            TIFF (its first page), JPEG 2000, Netpbm, Radiance.
        upright: turn it as its EXIF orientation, or an AVIF's own properties, say; otherwise it stays as it is stored,
            unless it is a TIFF.

    Returns:
        (H, W, 3) uint8 BGR. Grayscale is repeated over the channels, alpha is dropped, and more than 8 bits become 8
        over the range of the values (see `to_bytes`), so that the network sees values as in its training.

    Raises:
        ImageError: the file is missing, a folder, a video, unreadable, empty, no image, truncated, damaged, or has more
            pixels than `pixel_limit` allows.
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
        return read_file(path)
    except FileNotFoundError:
        if re.match(r"[a-z]+:/", str(path)):  # Path makes one slash of two
            raise ImageError(f"{path}: expected an image file, got a URL; download the image first") from None
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: expected an image file, got a folder; name the images in it") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError:  # of NUL
        raise ImageError(f"{path}: there is no such file, since no name has NUL in it") from None


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
        raise YolactError(f"cannot write {path}: {error.strerror}; free space or choose another place") from error
