"""From the contents of an image file to pixels; a damaged file is an error, never a half-grey picture."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.errors import ImageError, ImageMemoryError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.avif_orientation import turn_upright
from yolact.runtime.images.bare_files import without_metadata
from yolact.runtime.images.byte_images import to_bytes
from yolact.runtime.images.completeness import is_complete
from yolact.runtime.images.decoder_choice import is_nvimgcodec_chosen
from yolact.runtime.images.decoder_messages import decode_listening
from yolact.runtime.images.gpu_decoder import decode_jpeg
from yolact.runtime.images.image_header import jpeg_obstacle, recognise
from yolact.runtime.images.pixel_limit import check_pixels

_RADIANCE = "Radiance image"
_DEEP = {"PNG", "TIFF", "JPEG 2000", "Netpbm image", _RADIANCE}
"""Formats with more than 8 bits that OpenCV clips, scales as if they used all of them, or does not decode at all."""

_JPEG_DAMAGE = (
    r"Corrupt JPEG data: (?!bad ICC)(?!(\d|1[0-6]) extraneous bytes before marker 0xd9)|Premature end of JPEG|"
    r"Inconsistent progression"
)
"""Some cameras put a few bytes before the end."""

_DAMAGE = re.compile(
    rf"{_JPEG_DAMAGE}|\[ *ERROR:(?!.* (_TIFFVSetField|TIFFSetField|TIFFFetchNormalTag): )|"
    rf"\[ *WARN:.*(JPEGLib: ({_JPEG_DAMAGE})|Premature EOL|Line length mismatch|PackBitsDecode: |not end with EOC)"
)
"""Messages that come with a picture in which something is made up. A tag of a TIFF that libtiff does not take, such as
an orientation of 0, counts as absent."""


_UNKNOWN = re.compile(r"not implemented|not supported|not configured|[Uu]nsupported(?! marker)|Invalid bitsperpixel")
"""Messages about intact files."""

_WARNING = re.compile(r"\[ *WARN:")

_OPTIONAL = {"AVIF": ".avif", "GIF": ".gif", "JPEG 2000": ".jp2", "WebP": ".webp"}
"""Formats that not every release and build of OpenCV reads, and their suffixes."""


def decode_image(data: bytes, name: str, *, upright: bool = True) -> Image:
    """Decode the contents of an image file as `read_image` does; `name` stands for it in errors.

    Raises ImageError where the data is empty, no image, truncated, damaged as far as its format tells, or has more
    pixels than `pixel_limit` allows, which is found before memory is taken for them.
    """
    if not data:
        raise ImageError(f"{name}: expected an image, got an empty file")
    found = recognise(data)
    if found is None:
        raise ImageError(f"{name}: this is no image in a format OpenCV reads (JPEG, PNG, WebP, BMP, TIFF, ...)")
    kind = found.name
    if not is_complete(data, kind):
        raise ImageError(f"{name}: this {kind} is truncated (it has no end after {len(data)} bytes); copy it again")
    size = found.read_size(data)
    if size is not None:
        check_pixels(name, kind, *size)
    image, fault = (None, _find_fault(data, kind, None, [])) if size is None else _decode(data, kind, name, upright)
    if fault and size is not None and (bare := without_metadata(data, kind)) != data:
        image, fault = _decode(bare, kind, name, upright)
    if image is None or fault:
        raise ImageError(f"{name}: this {kind} is {fault}")
    image = as_promised(to_bytes(image, name, is_unbounded=kind == _RADIANCE), name)
    return turn_upright(image, data) if kind == "AVIF" and upright else image


def _decode(data: bytes, kind: str, name: str, upright: bool) -> tuple[NDArray[Any] | None, str]:
    """The decoded image, of any depth, and the fault of the file, if there is one."""
    if kind == "JPEG" and is_nvimgcodec_chosen():
        decoded, messages = decode_jpeg(data, upright=upright)
        if decoded is not None:  # otherwise OpenCV decodes the file, or refuses it
            return decoded, _find_fault(data, kind, decoded, messages)
    encoded = np.frombuffer(data, np.uint8)
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if kind in _DEEP else 0)
    flags |= 0 if upright else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image, messages = decode_listening(lambda: cv2.imdecode(encoded, flags))
        if image is None and kind == "TIFF":  # grey values of 32 bits, which OpenCV does not repeat over channels
            grey, told = decode_listening(lambda: cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))
            if grey is not None and grey.ndim == 2:
                image, messages = grey, told
    except cv2.error as error:  # the header asks for more pixels than OpenCV's limit or the memory allow
        if error.code == cv2.Error.StsNoMem:
            raise ImageMemoryError(f"{name}: there is not enough memory to decode it; free some") from error
        raise ImageError(f"{name}: OpenCV cannot decode it ({error.err})") from error
    return image, _find_fault(data, kind, image, messages)


def _find_fault(data: bytes, kind: str, image: NDArray[Any] | None, messages: list[str]) -> str:
    """The fault of the file and its remedy; empty where there is none."""
    again, convert = "copy it again", "convert it to PNG"
    told = messages if image is None else [message for message in messages if not _WARNING.match(message)]
    unknown = next((_reason(message) for message in told if _UNKNOWN.search(message)), "")
    if image is None and kind == "JPEG":
        unknown = jpeg_obstacle(data)
    if unknown:
        return f"of a kind that OpenCV does not decode ({unknown}); {convert}"
    if image is None and kind in _OPTIONAL and not cv2.haveImageWriter(_OPTIONAL[kind]):  # no reader either
        return f"in a format that OpenCV {cv2.__version__} does not read; update opencv-python-headless, or {convert}"
    if image is None and kind == "TIFF":  # of which there are more kinds than messages
        return f"damaged or truncated, or of a kind that OpenCV does not decode; {again}, or {convert}"
    if image is None:
        return f"damaged or truncated; {again}"
    damage = next((_reason(message) for message in messages if _DAMAGE.match(message)), "")
    return f"damaged ({damage}); {again}" if damage else ""


def _reason(message: str) -> str:
    """A decoder's message without OpenCV's time and place."""
    return re.sub(r"^\[.*?\] global \S+ \S+ |^imdecode_\(.*error: \(\S+ ", "", message)


def as_promised(image: Image, name: str) -> Image:
    """The image, if it is (H, W, 3) uint8: not every decoder of OpenCV minds the flag that asks for this."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"{name}: expected a format that OpenCV decodes to height x width x 3 of uint8, got "
            f"{' x '.join(map(str, image.shape))} of {image.dtype}; convert the image to PNG"
        )
    return image
