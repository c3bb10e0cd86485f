"""The images that a network is calibrated on, by path and content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.image_files import read_image, read_image_file
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.images.suffixes import IMAGE_SUFFIXES
from yolact.runtime.wording import list_some

_FLAT = 2.0  # standard deviation of every channel, of 255, that noise and compression leave in one colour
_SAMPLED = 256  # rows and columns looked at


@dataclass(frozen=True)
class ImageSet:
    """Images of a folder, in a fixed order.

    Attributes:
        paths: of the files.
        digest: SHA-256 over the files' names and contents.
        flat: the images of nearly one colour, which tell nothing about ranges.
    """

    paths: tuple[Path, ...]
    digest: str
    flat: tuple[Path, ...] = ()

    @classmethod
    def of_folder(cls, folder: Path, count: int) -> ImageSet:
        """At most `count` images, spread evenly over the names in the folder and in folders below it. Files and folders
        whose names begin with a dot are skipped. Every image is decoded once, so that none fails later.

        Raises:
            UsageError: there is no such folder, or no image in it.
            ImageError: files cannot be read or are no images.
        """
        if not folder.is_dir():
            raise UsageError(f"--calib-data {folder}: expected a folder of images; there is no such folder")
        found = sorted(path for path in folder.rglob("*") if _is_listed(path, folder))
        if not found:
            known = ", ".join(IMAGE_SUFFIXES)
            raise UsageError(f"--calib-data {folder}: expected images ({known}), found none there or in folders below")
        count = min(count, len(found))
        return cls.of_files([found[index * len(found) // count] for index in range(count)], folder)

    @classmethod
    def of_files(cls, paths: Sequence[Path], folder: Path) -> ImageSet:
        """These images, which are in the folder or in folders below it. Raises ImageError as `of_folder`."""
        with ThreadPoolExecutor() as pool:
            examined = list(pool.map(_examine, paths))
        damaged = [one for one in examined if isinstance(one, ImageError)]
        if damaged:
            others = f" (and {len(damaged) - 1} more of {len(paths)} images)" if len(damaged) > 1 else ""
            raise ImageError(f"{damaged[0]}{others}")
        digest, flat = hashlib.sha256(), []
        for path, one in zip(paths, examined, strict=True):
            assert not isinstance(one, ImageError)
            digest.update(os.fsencode(path.relative_to(folder)) + f" {one.digest}\n".encode())
            if one.is_flat:
                flat.append(path)
        return cls(tuple(paths), digest.hexdigest(), tuple(flat))

    def doubts(self) -> list[str]:
        """Sentences for the user about useless images."""
        if not self.flat:
            return []
        some = list_some([str(path) for path in self.flat], 3)
        return [f"{len(self.flat)} of {len(self)} calibration images have one colour only and tell nothing: {some}"]

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self, preprocess: Preprocessor, size: int, start: int = 0) -> Iterator[tuple[Image, int]]:
        """Network inputs (n, S, S, 3), n at most `size`, each with the number of images done after it; begins at image
        `start`. Raises ImageError where an image cannot be decoded."""
        for first in range(start, len(self), size):
            paths = self.paths[first : first + size]
            yield preprocess([read_image(path) for path in paths]), first + len(paths)


class _Examined(NamedTuple):
    """One image: SHA-256 of its file, and whether it is of one colour."""

    digest: str
    is_flat: bool


def _examine(path: Path) -> _Examined | ImageError:
    """The digest and flatness of an image, or the error where it cannot be decoded."""
    try:
        data = read_image_file(path)
        image = decode_image(data, str(path))
    except ImageError as error:
        return error
    step = max(1, min(image.shape[:2]) // _SAMPLED)
    spread = image[::step, ::step].std(axis=(0, 1)).max()
    return _Examined(hashlib.sha256(data).hexdigest(), bool(spread < _FLAT))


def _is_listed(path: Path, folder: Path) -> bool:
    """Whether it is a visible image of the folder; macOS keeps notes on ``photo.jpg`` in ``._photo.jpg``."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
