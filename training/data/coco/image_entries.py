"""The images that an annotation file lists: their names and sizes by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from yolact.training.data.coco.boxes import Size
from yolact.training.data.coco.entries import id_of, named, read_id
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.image_folder import ImageFolder
from yolact.training.data.coco.json_values import is_nothing, read_whole, shown
from yolact.training.data.coco.run_lengths import MOST_PIXELS

MOST_SIDE = 1 << 20
"""Pixels of a side at most, which is OpenCV's limit as well."""


class ImageEntries:
    """Images in the order of the file.

    Attributes:
        ids: that the file lists, also of images with another fault.
        unread: values in the place of an id that are none, as messages show them.
        names: file names by id, of those without fault.
        sizes: (height, width) by id, of the same.
    """

    def __init__(
        self, entries: Sequence[Any], faults: Faults, annotated: Counter[int | None], folder: ImageFolder | None
    ) -> None:
        """Faults of the entries are added to `faults`. An entry that is there twice in the same words counts once.

        Args:
            entries: the file's list.
            faults: is added to.
            annotated: how many annotations there are by the id of the image that they name.
            folder: tells the sizes that the file does not.
        """
        self.ids: set[int] = set()
        self.unread: set[str] = set()
        self.names: dict[int, str] = {}
        self.sizes: dict[int, Size] = {}
        for entry, where in named(entries, "images", "image"):
            with faults.of(where, "images", annotations=annotated[id_of(entry)]):
                self._add(entry, folder)

    def _add(self, entry: Any, folder: ImageFolder | None) -> None:
        id = read_id(entry, self.unread)
        is_new = id not in self.ids
        self.ids.add(id)
        name = _read_file_name(entry)
        size = _read_size(entry, name, folder)
        if is_new:
            self.names[id], self.sizes[id] = name, size
        elif self.names.get(id, name) != name or self.sizes.get(id, size) != size:
            raise Fault(f"is there twice, as {shown(self.names[id])} and as {shown(name)}; give each an id of its own")

    def equal_names(self) -> Iterator[str]:
        """A sentence for each image that is listed under several ids: its objects are divided among them."""
        first: dict[str, int] = {}
        for id, name in self.names.items():
            if (other := first.setdefault(name, id)) != id:
                yield f"images {other} and {id} are both {shown(name)}"


def _read_file_name(entry: dict[str, Any]) -> str:
    """As the file has it, or from the address that LVIS has instead."""
    value = entry.get("file_name")
    if is_nothing(value) and isinstance(url := entry.get("coco_url"), str):
        value = "/".join(url.split("/")[-2:])
    if is_nothing(value):
        value = entry.get("filename")
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise Fault(f"has {shown(entry.get('file_name'))} as file_name; expected the name of a file")
    return value


def _read_size(entry: dict[str, Any], name: str, folder: ImageFolder | None) -> Size:
    """(height, width)."""
    given = [entry.get("height"), entry.get("width")]
    sides = [None if is_nothing(side) or read_whole(side) == 0 else side for side in given]
    if folder is not None and None in sides:
        sides = [own if side is None else side for side, own in zip(sides, folder.measure(name), strict=True)]
    height, width = (read_whole(side) or 0 for side in sides)
    if not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE):
        raise Fault(f"has height and width {shown(given)}; expected whole numbers from 1 to {MOST_SIDE}")
    if height * width > MOST_PIXELS:
        raise Fault(f"has {width}x{height} pixels; expected at most {MOST_PIXELS}")
    return height, width
