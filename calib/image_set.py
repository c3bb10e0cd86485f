"""The images that a network is calibrated on, by path and content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.images.suffixes import IMAGE_SUFFIXES


@dataclass(frozen=True)
class ImageSet:
    """Images of a folder, in a fixed order.

    Attributes:
        paths: of the files.
        digest: SHA-256 over the files' names and contents.
    """

    paths: tuple[Path, ...]
    digest: str

    @classmethod
    def of_folder(cls, folder: Path, count: int) -> ImageSet:
        """At most `count` images, spread evenly over the names in the folder and those below it.

        Raises:
            UsageError: there is no such folder, or no image in it.
            ImageError: a file cannot be read.
        """
        if not folder.is_dir():
            raise UsageError(f"--calib-data {folder}: expected a folder of images; there is no such folder")
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        if not found:
            known = ", ".join(IMAGE_SUFFIXES)
            raise UsageError(f"--calib-data {folder}: expected images ({known}), found none there or in folders below")
        chosen = tuple(found[index * len(found) // min(count, len(found))] for index in range(min(count, len(found))))
        digest = hashlib.sha256()
        for path in chosen:
            try:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise ImageError(f"{path} cannot be read: {error.strerror}") from error
            digest.update(os.fsencode(path.relative_to(folder)) + f" {content}\n".encode())
        return cls(chosen, digest.hexdigest())

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self, preprocess: Preprocessor, size: int, start: int = 0) -> Iterator[tuple[Image, int]]:
        """Network inputs (n, S, S, 3), n at most `size`, and the number of images done with each; begins at image
        `start`. Raises ImageError where an image cannot be decoded."""
        for first in range(start, len(self), size):
            paths = self.paths[first : first + size]
            yield preprocess([read_image(path) for path in paths]), first + len(paths)
