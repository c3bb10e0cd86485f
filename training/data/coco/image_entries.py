"""The images that an annotation file lists: their names and sizes by id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from yolact.training.data.coco.categories import read_id, where_of
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.json_values import read_whole, shown
from yolact.training.data.coco.run_lengths import MOST_PIXELS
from yolact.training.data.coco.segmentations import Size

MOST_SIDE = 1 << 20
"""Pixels of a side at most, which is OpenCV's limit as well."""


class ImageEntries:
    """Images in the order of the file.

    Attributes:
        ids: that the file lists, also of images with another fault.
        names: file names by id, of those without fault.
        sizes: (height, width) by id, of the same.
    """

    def __init__(self, entries: Sequence[Any], faults: Faults) -> None:
        """Faults of the entries are added to `faults`. An entry that is there twice in the same words counts once."""
        self.ids: set[int] = set()
        self.names: dict[int, str] = {}
        self.sizes: dict[int, Size] = {}
        for number, entry in enumerate(entries, 1):
            with faults.of(where_of("images", number, entry, "image")):
                self._add(entry)

    def _add(self, entry: Any) -> None:
        id = read_id(entry)
        is_new = id not in self.ids
        self.ids.add(id)
        name, size = _read_file_name(entry.get("file_name")), _read_size(entry)
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


def _read_file_name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise Fault(f"has {shown(value)} as file_name; expected the name of a file")
    return value


def _read_size(entry: dict[str, Any]) -> Size:
    """(height, width)."""
    given = [entry.get("height"), entry.get("width")]
    height, width = (read_whole(side) or 0 for side in given)
    if not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE):
        raise Fault(f"has height and width {shown(given)}; expected whole numbers from 1 to {MOST_SIDE}")
    if height * width > MOST_PIXELS:
        raise Fault(f"has {width}x{height} pixels; expected at most {MOST_PIXELS}")
    return height, width
