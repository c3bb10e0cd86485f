"""Pairs each class of a model with the category of the annotations that has the same name, or the same id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yolact.runtime.class_names import visible
from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import DatasetError
from yolact.runtime.wording import count_noun, list_some
from yolact.training.data.ground_truth import GroundTruth

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassPairs:
    """The pairs.

    Attributes:
        category_ids: for each class of the model the id of its category in the annotations, None where it has none.
        by_name: whether names decided, else ids did.
        renumbered: how many pairs have another id in the annotations than in the model.
        source: the annotation file.
    """

    category_ids: tuple[int | None, ...]
    by_name: bool
    renumbered: int
    source: Path

    def __str__(self) -> str:
        count = sum(id is not None for id in self.category_ids)
        pairs = f"{count_noun(count, 'class')} paired by {'name' if self.by_name else 'id'}"
        if not self.renumbered:
            return pairs
        return f"{pairs}, of which {self.source.name} numbers {self.renumbered} otherwise than the model"

    def notes(self) -> list[str]:
        """A sentence if names decided and ids would have decided otherwise, else an empty text."""
        return [str(self)] if self.renumbered else []


def pair_classes(config: ModelConfig, truth: GroundTruth) -> ClassPairs:
    """Pair by names where both sides have the same set of them, else by ids; `truth.by_name` overrules that.

    Names are the same where they look the same and differ in upper and lower case at most.

    Raises DatasetError where no class has a category, or names are to decide and are not different.
    """
    by_name, pairs = truth.by_name, None
    if by_name is not False:
        pairs = _by_name(config, truth)
        if pairs is None and by_name:
            raise DatasetError(
                f"--by-name: some classes of the model or categories of {truth.source} have the same name; give each "
                "a name of its own, or pair them with --by-id"
            )
        if by_name is None and pairs is not None and (None in pairs or len(pairs) != len(truth.categories)):
            pairs = None
    chosen = _by_id(config, truth) if pairs is None else pairs
    if not any(id is not None for id in chosen):
        _refuse(config, truth, named=pairs is not None)
    renumbered = sum(ours != id is not None for ours, id in zip(config.category_ids, chosen, strict=True))
    return ClassPairs(chosen, pairs is not None, renumbered, truth.source)


def check_categories(config: ModelConfig, truth: GroundTruth) -> ClassPairs:
    """The pairs of `pair_classes`, with warnings where classes have no partner or one of another name. Raises alike."""
    pairs = pair_classes(config, truth)
    for format, *values in _doubts(config, truth, pairs):
        logger.warning(format, *values)
    return pairs


def _by_id(config: ModelConfig, truth: GroundTruth) -> tuple[int | None, ...]:
    return tuple(id if id in truth.categories else None for id in config.category_ids)


def _by_name(config: ModelConfig, truth: GroundTruth) -> tuple[int | None, ...] | None:
    """None where two names of one side look the same, even with upper and lower case told apart."""
    for seen in (_folded, visible):
        ours, theirs = [seen(name) for name in config.class_names], _ids_by(seen, truth.categories)
        if len(set(ours)) == len(ours) and len(theirs) == len(truth.categories):
            return tuple(theirs.get(name) for name in ours)
    return None


def _folded(name: str) -> str:
    return visible(name).casefold()


def _ids_by(seen: Callable[[str], str], categories: Mapping[int, str]) -> dict[str, int]:
    return {seen(name): id for id, name in categories.items()}


def _refuse(config: ModelConfig, truth: GroundTruth, *, named: bool) -> None:
    known = dict(zip(config.category_ids, config.class_names, strict=True))
    if named:
        advice = "use annotations with the names that the model was trained on, or pair them with --by-id"
    else:
        advice = f"use annotations with the category ids that the model was trained on{_or_by_name(config, truth)}"
    raise DatasetError(
        f"{truth.source} has the categories {_some(truth.categories)}, but the model has {_some(known)}; {advice}"
    )


def _or_by_name(config: ModelConfig, truth: GroundTruth) -> str:
    """Advice to pair by name, where ids decide although names would pair more classes as both sides call them."""
    named = _by_name(config, truth)
    if named is None or truth.by_name is False:
        return ""
    agreeing = sum(a == b is not None for a, b in zip(named, _by_id(config, truth), strict=True))
    return ", or pair them with --by-name" if sum(id is not None for id in named) > agreeing else ""


def _doubts(config: ModelConfig, truth: GroundTruth, pairs: ClassPairs) -> Iterator[tuple[object, ...]]:
    """Formats and their values, of all that the two sides do not have in common."""
    names = truth.categories
    unknown = {id: name for id, name in names.items() if id not in pairs.category_ids}
    if unknown:
        yield (
            "%s has categories the model does not know, whose objects count as missed: %s", truth.source, _some(unknown)
        )  # fmt: skip
    classes = list(zip(config.category_ids, config.class_names, pairs.category_ids, strict=True))
    surplus = {ours: name for ours, name, id in classes if id is None}
    if surplus:
        yield "%s lacks categories of the model, whose detections are left out: %s", truth.source, _some(surplus)
    renamed = [(id, name) for _, name, id in classes if id is not None and _folded(names[id]) != _folded(name)]
    if renamed:
        id, name = min(renamed)
        yield (
            "%s calls category %d %r, but the model calls it %r%s: make sure that both mean the same classes%s",
            truth.source,
            id,
            names[id],
            name,
            f" (and {len(renamed) - 1} more)" if len(renamed) > 1 else "",
            _or_by_name(config, truth),
        )
    elif not pairs.by_name and _or_by_name(config, truth):
        yield "%s has some names of the model under other ids; --by-name pairs them by name", truth.source


def _some(categories: Mapping[int, str]) -> str:
    return list_some([f"{id} ({name})" for id, name in categories.items()], 5)
