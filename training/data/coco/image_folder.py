"""The folder of annotated images: which file is meant by a name of the annotations, and its pixels."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from yolact.runtime.errors import DatasetError, ImageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.exif import UPRIGHT
from yolact.runtime.images.image_files import read_image
from yolact.runtime.wording import count_noun
from yolact.training.data.coco.annotations import AnnotatedImage
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.image_headers import Header, read_header
from yolact.training.data.coco.reading_rules import Exif

logger = logging.getLogger(__name__)


def find_files(folder: Path, images: Sequence[AnnotatedImage], source: Path, exif: Exif) -> tuple[Path, ...]:
    """Where the images are; `source` is the annotation file.

    Warns of images whose EXIF orientation the annotations may have ignored without their size telling it.

    Raises DatasetError, which names those that are not there, whose names lead out of the folder, or whose first bytes
    tell another size than the annotations; sizes that a format does not tell are found as images are read.
    """
    faults, found, doubtful = Faults(str(source)), [], []
    for image in images:
        with faults.of(f"image {image.id}:"):
            path = _find(folder, image.file_name)
            found.append(path)
            header = read_header(path)
            _check_size(path, image, header, exif)
            if exif == "apply" and _may_be_ignored(header):
                doubtful.append(f"{path} (orientation {header.orientation})")
    faults.check()
    if doubtful:
        _warn(doubtful, source)
    return tuple(found)


def _find(folder: Path, name: str) -> Path:
    first = None
    for path in _candidates(folder, name):
        if _is_file(path):
            return path
        first = first or path
    if first is None:
        raise Fault(f"its name {name} leads out of {folder}; expected the name of a file in that folder")
    raise Fault(f"{first} is missing, though annotated; check the image folder")


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """Files inside the folder that the name may mean, the literal one first.

    Then with Windows' separators; without what leads down to the folder; without the prefix that annotations of 2014
    give to names that are often stored without (official data/coco.py); and with composed or decomposed accents, which
    file systems and tools choose differently.
    """
    base = Path(os.path.normpath(folder.absolute()))
    for separated in dict.fromkeys((name, name.replace("\\", "/"))):
        parts = separated.split("/")
        below = [parts[at + 1 :] for at, part in enumerate(parts[:-1]) if part == base.name]
        for chosen in (parts, *below):
            bare = [*chosen[:-1], chosen[-1].rsplit("_", 1)[-1]] if chosen[-1].startswith("COCO_") else chosen
            for text in dict.fromkeys(("/".join(chosen), "/".join(bare))):
                for form in (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)):
                    path = Path(os.path.normpath(base / form))
                    if path != base and path.is_relative_to(base):
                        yield folder / path.relative_to(base)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or that the file system cannot have
        return False


def _check_size(path: Path, image: AnnotatedImage, header: Header, exif: Exif) -> None:
    """Raise Fault where the image has another size than annotated. It is read where its header says so, to be sure."""
    size = header.upright_size if exif == "apply" else header.size
    if size is None or size == image.size:
        return
    try:
        read_annotated(path, image, exif)
    except DatasetError as error:
        raise Fault(str(error)) from None
    except ImageError:
        return  # told by who reads it


def _may_be_ignored(header: Header) -> bool:
    """Whether annotations of an image that is turned or mirrored would have the same size without that."""
    return header.orientation != UPRIGHT and header.size is not None and header.size == header.upright_size


def _warn(doubtful: Sequence[str], source: Path) -> None:
    logger.warning(
        "%s: %s turned or mirrored as the EXIF orientation says, such as %s; give --exif keep if the annotations were "
        "made without it",
        source,
        count_noun(len(doubtful), "image") + (" is" if len(doubtful) == 1 else " are"),
        doubtful[0],
    )


def read_annotated(path: Path, annotated: AnnotatedImage, exif: Exif = "apply") -> Image:
    """The image, (H, W, 3) uint8 BGR, upright or as it is stored: see `ReadingRules`.

    Raises:
        ImageError: it cannot be read.
        DatasetError: it has another size than the annotations say.
    """
    image = read_image(path, upright=exif == "apply")
    if image.shape[:2] == annotated.size:
        return image
    got, expected = (f"{width}x{height}" for height, width in (image.shape[:2], annotated.size))
    if read_image(path, upright=exif != "apply").shape[:2] == annotated.size:
        raise DatasetError(
            f"{path} has {got} pixels {'after' if exif == 'apply' else 'before'} its EXIF orientation is applied, but "
            f"its annotations say {expected}; read it with --exif {'keep' if exif == 'apply' else 'apply'}"
        )
    raise DatasetError(
        f"{path} has {got} pixels, but its annotations say {expected}; they belong to another version of it"
    )
