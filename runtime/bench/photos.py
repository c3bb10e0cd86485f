"""The image files that a benchmark runs on, one after the other and then again from the first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2

from yolact.runtime.errors import UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.image_files import read_image_file
from yolact.runtime.images.suffixes import VIDEO_SUFFIXES
from yolact.runtime.sources import expand_source

MADE_UP_SIZE = (720, 1280)
"""Height and width of the picture that is made up where no image is given, pixels."""


class EncodedImage(NamedTuple):
    """An image file in memory.

    Attributes:
        name: its name in errors.
        data: its bytes.
    """

    name: str
    data: bytes

    def decode(self) -> Image:
        """(H, W, 3) uint8 BGR. Raises ImageError where it is no image."""
        return decode_image(self.data, self.name)


class Photos:
    """Image files in a fixed order, cycled.

    Attributes:
        names: of all files.
    """

    def __init__(self, names: Sequence[str], read: Callable[[str], EncodedImage]) -> None:
        """Use `find_photos`. `read` gives the file of a name; they are not all kept in memory, as folders are large."""
        self.names = tuple(names)
        self._read = read
        self._next = itertools.cycle(self.names)

    def take(self, count: int) -> list[EncodedImage]:
        """The next `count` files. Raises ImageError where one cannot be read."""
        return [self._read(name) for name in itertools.islice(self._next, count)]

    def first(self) -> EncodedImage:
        """The first file, whichever one `take` gives next."""
        return self._read(self.names[0])


def find_photos(arguments: Sequence[str]) -> Photos:
    """The image files that a command line names; without arguments a JPEG of a made-up scene.

    Raises:
        ImageError: there is nothing of that name, or no image in a folder.
        UsageError: a video, a camera or a URL, which take time of their own to arrive.
    """
    if not arguments:
        made_up = _make_up()
        return Photos([made_up.name], lambda _: made_up)
    sources = [source for argument in arguments for source in expand_source(argument)]
    for source in sources:
        if not isinstance(source.location, Path) or source.location.suffix.lower() in VIDEO_SUFFIXES:
            raise UsageError(f"{source.name}: expected image files or folders of images, got a video, camera or URL")
    return Photos([source.name for source in sources], lambda name: EncodedImage(name, read_image_file(Path(name))))


def _make_up() -> EncodedImage:
    height, width = MADE_UP_SIZE
    encoded = cv2.imencode(".jpg", make_check_image(height, width))[1]
    return EncodedImage(f"made-up scene, {width}x{height}, JPEG", encoded.tobytes())
