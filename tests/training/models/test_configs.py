"""The registry of configurations."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import UsageError
from yolact.training.models.configs import COCO_CLASSES, CONFIGS, PASCAL_CLASSES, get_config, normalization


def test_class_names_are_distinct_and_complete() -> None:
    assert (len(COCO_CLASSES), len(set(COCO_CLASSES))) == (80, 80)
    assert (len(PASCAL_CLASSES), len(set(PASCAL_CLASSES))) == (20, 20)
    assert (COCO_CLASSES[0], COCO_CLASSES[11], COCO_CLASSES[79]) == ("person", "stop sign", "toothbrush")
    assert (PASCAL_CLASSES[0], PASCAL_CLASSES[14], PASCAL_CLASSES[19]) == ("aeroplane", "person", "tvmonitor")


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("yolact_base", (24, 48, 96, 192, 384)),
        ("yolact_im400", (17, 34, 69, 139, 279)),  # truncated, not rounded
        ("yolact_im700", (30, 61, 122, 244, 488)),
        ("yolact_resnet50_pascal", (32, 64, 128, 256, 512)),
    ],
)
def test_anchor_scales(name: str, scales: tuple[int, ...]) -> None:
    assert CONFIGS[name].scales == tuple((scale,) for scale in scales)


def test_names_with_and_without_the_official_suffix() -> None:
    assert get_config("yolact_plus_base_config") is get_config("yolact_plus_base") is CONFIGS["yolact_plus_base"]


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'yolact_resnet18'.*yolact_base, .*yolact_plus_resnet50"):
        get_config("yolact_resnet18")


def test_category_ids_are_those_of_the_annotation_files(shared: Path) -> None:
    categories = json.loads((shared / "coco" / "val.json").read_text())["categories"]
    assert [category["id"] for category in categories] == list(CONFIGS["yolact_base"].category_ids)
    assert [category["name"] for category in categories] == list(CONFIGS["yolact_base"].class_names)
    assert CONFIGS["yolact_resnet50_pascal"].category_ids == tuple(range(1, 21))


@pytest.mark.parametrize("ids", [(1,), (1, 1), (1, 2, 3)])
def test_category_ids_that_do_not_fit_the_classes(ids: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="category_ids must be one different id for each of 2 classes"):
        replace(CONFIGS["yolact_base"], class_names=("a", "b"), category_ids=ids)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_survives_json(config: ModelConfig) -> None:
    assert ModelConfig.from_json(config.to_json()) == config


def test_normalization_of_both_families() -> None:
    assert normalization(CONFIGS["yolact_darknet53"]) == ((0, 0, 0), (255, 255, 255))
    assert normalization(CONFIGS["yolact_plus_base"]) == ((103.94, 116.78, 123.68), (57.38, 57.12, 58.40))
