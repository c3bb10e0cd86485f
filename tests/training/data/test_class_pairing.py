"""Which category of the annotations a model's class is measured by."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from yolact.runtime.errors import DatasetError
from yolact.training.data.class_pairing import check_categories
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.models.configs import CONFIGS

MODEL = replace(CONFIGS["yolact_demo"], class_names=("cup", "dog", "bus"), category_ids=(7, 90, 3))


def truth(categories: dict[int, str], by_name: bool | None = None) -> GroundTruth:
    return GroundTruth(Path("val.json"), {}, categories, (), (), by_name=by_name)


SHUFFLED = {7: "dog", 90: "bus", 3: "cup"}
PAIRED: dict[str, tuple[dict[int, str], bool | None, tuple[int | None, ...], str, str]] = {
    "the same": ({7: "cup", 90: "dog", 3: "bus"}, None, (7, 90, 3), "3 classes paired by name", ""),
    "shuffled": (
        SHUFFLED,
        None,
        (3, 7, 90),
        "3 classes paired by name, of which val.json numbers 3 otherwise than the model",
        "",
    ),
    "by id all the same": (SHUFFLED, False, (7, 90, 3), "3 classes paired by id", "calls category 3 'cup'"),
    "ids of its own": ({1: "bus", 2: "cup", 90: "dog"}, None, (2, 90, 1), "numbers 2 otherwise", ""),
    "case and what nobody sees": (
        {1: "CUP", 2: "d\u200bog ", 3: "\ufeffBus"},
        None,
        (1, 2, 3),
        "numbers 2 otherwise",
        "",
    ),
    "a class fewer": (
        {7: "dog", 90: "cup"},
        None,
        (7, 90, None),
        "2 classes paired by id",
        "or pair them with --by-name",
    ),
    "a class fewer, by name": ({7: "dog", 90: "cup"}, True, (90, 7, None), "2 classes paired by name", "3 (bus)"),
    "a class more": (
        {1: "dog", 2: "cup", 3: "bus", 4: "train"},
        None,
        (None, None, 3),
        "1 class paired by id",
        "val.json has some names of the model under other ids; --by-name pairs them by name",
    ),
    "a class more, by name": (
        {1: "dog", 2: "cup", 3: "bus", 4: "train"},
        True,
        (2, 1, 3),
        "3 classes paired by name",
        "count as missed: 4 (train)",
    ),
    "names that are there twice": (
        {7: "dog", 90: "dog", 3: "bus"},
        None,
        (7, 90, 3),
        "3 classes paired by id",
        "calls category 7 'dog', but the model calls it 'cup'",
    ),
}


@pytest.mark.parametrize("name", PAIRED)
def test_pairs(name: str, caplog: pytest.LogCaptureFixture) -> None:
    categories, by_name, expected, sentence, warning = PAIRED[name]
    with caplog.at_level(logging.WARNING):
        pairs = check_categories(MODEL, truth(categories, by_name))
    assert pairs.category_ids == expected
    assert sentence in str(pairs) and pairs.notes() == ([str(pairs)] if "otherwise" in str(pairs) else [])
    assert warning in caplog.text and bool(caplog.messages) == bool(warning)


def test_names_that_differ_in_case_alone_are_different_where_both_sides_have_them() -> None:
    model = replace(MODEL, class_names=("Bus", "bus", "dog"))
    assert check_categories(model, truth({1: "dog", 2: "bus", 3: "Bus"})).category_ids == (3, 2, 1)


REJECTED: dict[str, tuple[dict[int, str], bool | None, str]] = {
    "other ids and names": (
        {1: "cat", 2: "tram"},
        None,
        "val.json has the categories 1 (cat), 2 (tram), but the model has 7 (cup), 90 (dog), 3 (bus); use annotations "
        "with the category ids that the model was trained on",
    ),
    "other ids of some of the names": ({1: "dog", 2: "tram"}, None, "trained on, or pair them with --by-name"),
    "other ids, by id": ({1: "dog", 2: "cup", 4: "bus"}, False, "the category ids that the model was trained on"),
    "other names, by name": ({7: "cat", 90: "tram"}, True, "trained on, or pair them with --by-id"),
    "names that are there twice, by name": (
        {7: "dog", 90: "dog", 3: "bus"},
        True,
        "--by-name: some classes of the model or categories of val.json have the same name; give each a name of its "
        "own, or pair them with --by-id",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    categories, by_name, reason = REJECTED[name]
    with pytest.raises(DatasetError) as caught:
        check_categories(MODEL, truth(categories, by_name))
    assert reason in str(caught.value) and str(caught.value).endswith(reason.rpartition("; ")[2])
