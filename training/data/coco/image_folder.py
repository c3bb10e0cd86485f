"""The folder of annotated images: the file that a name of the annotations means, and its pixels."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from yolact.runtime.class_names import bare
from yolact.runtime.errors import DatasetError, ImageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.exif import UPRIGHT
from yolact.runtime.images.image_files import read_image
from yolact.runtime.wording import count_noun
from yolact.training.data.coco.annotated_images import AnnotatedImage
from yolact.training.data.coco.boxes import Size
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.image_headers import Header, read_header
from yolact.training.data.coco.reading_rules import Exif

_OF_COCO = re.compile(r"(train|val|test|unlabeled)20\d\d/\d{12}\.jpg")

logger = logging.getLogger(__name__)


class ImageFolder:
    """The folder of a dataset's images.

    Attributes:
        images: those that were looked for, in the order of the annotation file.
        paths: where they are.
    """

    def __init__(self, path: Path, exif: Exif, *, limit: int | None = None, with_objects: bool = False) -> None:
        """``limit`` is how many images are looked for, and ``with_objects`` leaves out those without an object."""
        self._path, self._exif, self._limit, self._with_objects = path, exif, limit, with_objects
        self.images: tuple[AnnotatedImage, ...] = ()
        self.paths: tuple[Path, ...] = ()

    def check(self) -> None:
        """Raise DatasetError where there is no such folder."""
        if not self._path.is_dir():
            raise DatasetError(f"{self._path} is no folder; expected the folder of the annotated images")

    def find(self, images: Sequence[AnnotatedImage], faulty: Collection[int], faults: Faults) -> list[str]:
        """Look for images; gives back those whose EXIF orientation may be ignored without their size telling it.

        Faults are images that are not there, whose names lead out of the folder, or whose first bytes tell another size
        than the annotations; sizes that a format does not tell are found as images are read. `faulty` are the ids of
        images with annotations that are missing in `images` because of a fault.
        """
        chosen = [image for image in images[: self._limit] if not self._with_objects or _has_objects(image, faulty)]
        found, doubtful = [], []
        for image in chosen:
            with faults.of(f"image {image.id}:", "images:", annotations=image.entries):
                path = _find(self._path, image.file_name)
                found.append(path)
                header = read_header(path)
                if (message := self._size_message(path, image, header)) is not None:
                    faults.forgive_misfits(image.id)
                    raise Fault(message)
                if self._exif == "apply" and _may_be_ignored(header):
                    doubtful.append(f"{path} (orientation {header.orientation})")
        self.images, self.paths = tuple(chosen), tuple(found)
        return doubtful

    def measure(self, name: str) -> Size:
        """The size of an image that the annotation file does not tell. Raises Fault."""
        path = _find(self._path, name)
        header = read_header(path)
        size = header.upright_size if self._exif == "apply" else header.size
        if size is None:
            try:
                height, width = read_image(path, upright=self._exif == "apply").shape[:2]
            except ImageError as error:
                raise Fault(f"has neither height nor width, and {error}") from None
            size = height, width
        return size

    def _size_message(self, path: Path, image: AnnotatedImage, header: Header) -> str | None:
        """The fault of an image's size. Where the header shows a fault, the whole image is read to be sure."""
        size = header.upright_size if self._exif == "apply" else header.size
        if size is None or size == image.size:
            return None
        try:
            read_annotated(path, image, self._exif)
        except DatasetError as error:
            return str(error)
        except ImageError:
            pass  # its reader reports this
        return None


def _has_objects(image: AnnotatedImage, faulty: Collection[int]) -> bool:
    return image.id in faulty or not all(annotation.is_crowd for annotation in image.annotations)


def _find(folder: Path, name: str) -> Path:
    first = None
    for path in _candidates(folder, name):
        if _is_file(path):
            return path
        first = first or path
    if "://" in name:
        raise Fault(f"its name {name} is an address; download the images, and write the names of their files")
    if first is None:
        raise Fault(f"its name {name} leads out of {folder}; expected the name of a file in that folder")
    raise Fault(f"{first} is missing, though annotated; check the image folder")


def _candidates(folder: Path, name: str) -> Iterator[Path]:
    """Files inside the folder that the name may mean, the literal one first.

    Then with Windows' separators, without blanks or byte order marks around it, and without the escapes of addresses;
    without what leads down to the folder, or to a folder of COCO, which LVIS names; without the prefix that annotations
    of 2014 give to names that are often stored without (official data/coco.py); and with other accents and endings, see
    `_forms`.
    """
    base = Path(os.path.normpath(folder.absolute()))
    plain = name.replace("\\", "/")
    for separated in dict.fromkeys((name, plain, bare(plain), unquote(plain))):
        parts = separated.split("/")
        below = [parts[at + 1 :] for at, part in enumerate(parts[:-1]) if part == base.name]
        of_coco = [parts[-1:]] if _OF_COCO.fullmatch("/".join(parts[-2:])) else []
        for chosen in (parts, *below, *of_coco):
            short = [*chosen[:-1], chosen[-1].rsplit("_", 1)[-1]] if chosen[-1].startswith("COCO_") else chosen
            for text in dict.fromkeys(("/".join(chosen), "/".join(short))):
                for form in _forms(text):
                    path = Path(os.path.normpath(base / form))
                    if path != base and path.is_relative_to(base):
                        yield folder / path.relative_to(base)


def _forms(text: str) -> Iterator[str]:
    """As it is; with composed or decomposed accents, and an ending in small or capital letters, which tools choose."""
    yield text
    stem, dot, ending = text.rpartition(".")
    for spelling in (ending, ending.lower(), ending.upper()):
        for form in ("NFC", "NFD"):
            yield unicodedata.normalize(form, stem + dot + spelling)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or that the file system cannot have
        return False


def _may_be_ignored(header: Header) -> bool:
    """Whether annotations of an image that is turned or mirrored would have the same size without that."""
    return header.orientation != UPRIGHT and header.size is not None and header.size == header.upright_size


def warn_of_orientation(doubtful: Sequence[str], source: str) -> None:
    """Say that annotations may have been made without the orientation of some images."""
    if not doubtful:
        return
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
