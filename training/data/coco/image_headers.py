"""The size and orientation of an annotated image, from its first bytes."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.images.exif import UPRIGHT, exif_orientation
from yolact.runtime.images.image_header import recognise
from yolact.training.data.coco.boxes import Size


class Header(NamedTuple):
    """The facts in a file's header; none where it cannot be read.

    Attributes:
        size: (height, width) as stored, pixels; None where the header has none.
        orientation: see `exif_orientation`.
    """

    size: Size | None = None
    orientation: int = UPRIGHT

    @property
    def upright_size(self) -> Size | None:
        """(height, width) after the orientation is applied."""
        return self.size if self.size is None or self.orientation <= 4 else (self.size[1], self.size[0])


def read_header(path: Path) -> Header:
    """Never raises: whether a file is an image is found out by reading it whole."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            form = recognise(data)
            size = None if form is None else form.read_size(data)
            return Header(None if size is None else (size[1], size[0]), exif_orientation(data))
    except (OSError, ValueError):  # empty, or no such file
        return Header()
