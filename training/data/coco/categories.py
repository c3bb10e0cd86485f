"""The categories of an annotation file: their names by id, without those that only group others."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from yolact.runtime.class_names import bare, visible
from yolact.runtime.config import MAX_CATEGORY_ID, MAX_CLASS_NAME, MAX_CLASSES
from yolact.runtime.json_text import is_text
from yolact.runtime.wording import list_some
from yolact.training.data.coco.entries import named, read_id
from yolact.training.data.coco.faults import Fault, Faults
from yolact.training.data.coco.json_values import read_number, shown

logger = logging.getLogger(__name__)


class Categories:
    """Categories as a file lists them.

    Attributes:
        ids: that the file lists, also of categories with another fault.
        unread: values in the place of an id that are none, as messages show them.
        names: by id, of those without fault.
    """

    def __init__(self, entries: Sequence[Any], faults: Faults) -> None:
        """Faults of the entries are added to `faults`. An entry that is there twice in the same words counts once."""
        self.ids: set[int] = set()
        self.unread: set[str] = set()
        self.names: dict[int, str] = {}
        if len(entries) > MAX_CLASSES:
            faults.add(f"has {len(entries)} categories; expected at most {MAX_CLASSES}")
        self._parents: dict[int, str] = {}
        for entry, where in named(entries, "categories", "category"):
            with faults.of(where, "categories"):
                self._add(entry)

    def _add(self, entry: Any) -> None:
        id = read_id(entry, self.unread)
        if abs(id) > MAX_CATEGORY_ID:
            raise Fault(f"has an id beyond {MAX_CATEGORY_ID}; number the categories anew")
        is_new = id not in self.ids
        self.ids.add(id)
        name = _read_name(entry.get("name"))
        if not is_new:
            if self.names.get(id, name) != name:
                raise Fault(
                    f"is there twice, as {shown(self.names[id])} and as {shown(name)}; give each an id of its own"
                )
            return
        self.names[id] = name
        parent = entry.get("supercategory")
        if isinstance(parent, str):
            self._parents[id] = bare(parent)

    def of_classes(self, annotated: Collection[int], source: str) -> dict[int, str]:
        """Names by id, in the order of the ids, without categories that have children and no annotation.

        Tools such as Roboflow list the name of the whole data set so. `annotated` holds the ids of categories with
        annotations; `source` names the file in the warning.
        """
        children: dict[str, list[int]] = {}
        for child, parent in self._parents.items():
            children.setdefault(parent, []).append(child)
        groups = {id for id, name in self.names.items() if id not in annotated and children.get(name, [id]) != [id]}
        if len(groups) == len(self.names):
            groups = set()
        if groups:
            logger.warning(
                "%s: left out categories that others belong to and that nothing is annotated with: %s",
                source,
                list_some([f"{id} ({self.names[id]})" for id in sorted(groups)], 5),
            )
        return {id: self.names[id] for id in sorted(self.names) if id not in groups}


def equal_names(names: Mapping[int, str]) -> list[str]:
    """A sentence for each name that several categories have."""
    by_name: dict[str, list[int]] = {}
    for id, name in names.items():
        by_name.setdefault(visible(name), []).append(id)
    return [
        f"categories {list_some([*map(str, ids)], 5)} are all called {shown(name)}"
        for name, ids in by_name.items()
        if len(ids) > 1
    ]


def _read_name(value: Any) -> str:
    """The name of a class in a model: text, or a number as text, without blanks and invisible characters around it."""
    if not isinstance(value, str) and read_number(value) is not None:
        value = str(value)
    name = bare(value) if isinstance(value, str) else ""
    if not name:
        raise Fault(f"has {shown(value)} as name; expected a text")
    if not is_text(name) or "\0" in name:
        raise Fault(f"has half of a surrogate pair or NUL in its name {shown(value)}; write the name again")
    if len(name) > MAX_CLASS_NAME:
        raise Fault(f"has a name of {len(name)} characters; expected at most {MAX_CLASS_NAME}")
    return name
