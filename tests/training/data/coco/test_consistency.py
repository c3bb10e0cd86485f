"""What an annotation file says twice, and differently: boxes, areas and masks, names, and categories of categories."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from annotation_content import CONTENT

from yolact.runtime.errors import DatasetError
from yolact.training.data.coco.annotations import parse_annotations

BOX_30_TO_120 = {
    "id": 1, "image_id": 7, "category_id": 9, "segmentation": [[30, 30, 120, 30, 120, 110, 30, 110]],
    "bbox": [30, 30, 90, 80], "area": 7200,
}  # fmt: skip

CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "corners for a box": ({"bbox": [30, 30, 120, 110]}, "boxes 1): annotation 1 has a box [30, 30, 120, 110] that"),
    "corners near the origin": (
        {"bbox": [10, 10, 100, 90], "area": None, "segmentation": [[10, 10, 100, 10, 100, 90, 10, 90]]},
        "as x1, y1, x2, y2 it would fit"),
    "another place": ({"bbox": [130, 110, 60, 50]}, "which spans [30, 30, 90, 80]"),
    "a part": ({"bbox": [30, 30, 90, 50]}, "boxes 1"),
    "half beside": ({"bbox": [75, 30, 90, 80]}, "boxes 1"),
    "much room": ({"bbox": [0, 0, 190, 150]}, "boxes 1"),
    "the area of something else": ({"area": 60}, "areas 1): annotation 1 has an area of 60, but its mask has 7"),
    "area in other pixels": ({"area": 7200 * 4}, "areas 1"),
    "a line": ({"segmentation": [[30, 30, 120, 110, 120, 110]]}, "empty masks 1): annotation 1 has a segmentation"),
    "one point": ({"segmentation": [[30, 30] * 3]}, "empty masks 1"),
    "less than a pixel": ({"segmentation": [[30.1, 30.1, 30.3, 30.1, 30.3, 100]]}, "empty masks 1"),
    "runs of zeros": ({"segmentation": {"size": [160, 200], "counts": [32000]}}, "empty masks 1"),
}  # fmt: skip

AGREEING: dict[str, dict[str, Any]] = {
    "exact": {},
    "rounded": {"bbox": [28.6, 31.2, 91, 79]},
    "with room near the origin": {
        "bbox": [3, 3, 105, 105], "area": None, "segmentation": [[5, 5, 105, 5, 105, 105, 5, 105]]},
    "with room": {"bbox": [25, 25, 100, 90]},
    "area of the outline": {"area": 7200 * 0.8},
    "a bow tie, whose signed area is nothing": {
        "segmentation": [[30, 30, 120, 110, 120, 30, 30, 110]], "area": 3600},
    "two parts": {"segmentation": [[30, 30, 60, 30, 60, 110, 30, 110], [60, 30, 120, 30, 120, 110, 60, 110]]},
}  # fmt: skip


def of_one(**values: Any) -> dict[str, Any]:
    image = {"id": 7, "file_name": "a.png", "height": 160, "width": 200}
    return {**CONTENT, "images": [image], "annotations": [{**BOX_30_TO_120, **values}]}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_boxes_and_areas_are_compared_with_masks(name: str, caplog: pytest.LogCaptureFixture) -> None:
    values, message = CONTRADICTIONS[name]
    content = of_one(**values)
    (image,) = parse_annotations(content, "here").images
    assert len(image.annotations) == 1, "it is used as it is"
    assert "here contradicts itself in 1 place (" in caplog.text and message in caplog.text
    with pytest.raises(DatasetError, match=r"here: annotation 1 has an? (box|area|segmentation)"):
        parse_annotations(content, "here", strict=True)


@pytest.mark.parametrize("name", AGREEING)
def test_small_differences_are_no_contradiction(name: str, caplog: pytest.LogCaptureFixture) -> None:
    parse_annotations(of_one(**AGREEING[name]), "here", strict=True)
    assert not caplog.text


def test_many_contradictions_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    content = of_one()
    content["annotations"] = [{**BOX_30_TO_120, "id": id, "bbox": [130, 110, 60, 50]} for id in range(7)]
    content["annotations"] += [{**BOX_30_TO_120, "id": 7, "area": 1}]
    parse_annotations(content, "here")
    head, *listed, rest = [record.getMessage() for record in caplog.records]
    assert head == "here contradicts itself in 15 places (boxes 7, duplicates 7, areas 1); --strict refuses it:"
    assert listed[0].startswith("   1. annotation 0 has a box") and len(listed) == 5 and rest == "      and 10 more"
    with pytest.raises(DatasetError, match=r"here has 15 contradictions: \(1\) annotation 0"):
        parse_annotations(content, "here", strict=True)


def test_names_that_are_there_twice_are_a_contradiction(caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["categories"][1]["name"] = "kite"
    content["images"].append({**content["images"][0], "id": 8})
    found = parse_annotations(content, "here")
    assert found.class_names == ("kite", "kite") and len(found.images) == 2
    assert 'categories 3, 9 are all called "kite"\n' in caplog.text
    assert 'images 7 and 8 are both "a.png"' in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "traffic\u200blight",
        "traffic\ufefflight",
        "\u202atraffic\u00adlight",
        "trafficlight\u200d",
        "traffic\u3164light\ufe0f",
    ],
)
def test_names_that_differ_in_what_nobody_sees_are_equal(name: str, caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["categories"] = [{"id": 3, "name": "trafficlight"}, {"id": 9, "name": name}]
    parse_annotations(content, "here")
    assert 'names 1): categories 3, 9 are all called "trafficlight"' in caplog.text
    with pytest.raises(DatasetError, match="are all called"):
        parse_annotations(content, "here", strict=True)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("id", [..., 1, 2, 5])
def test_the_same_annotation_twice(index: int, id: Any, caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"].append({**content["annotations"][index], "id": None if id is ... else id})
    content["annotations"].append({**content["annotations"][index], "category_id": (3, 9)[index]})
    (image,) = parse_annotations(content, "here").images
    assert len(image.annotations) == 4, "all are used"
    assert "in 1 place (duplicates 1): " in caplog.text and f" repeats annotation {index + 1}: the same" in caplog.text
    with pytest.raises(DatasetError, match=f"repeats annotation {index + 1}"):
        parse_annotations(content, "here", strict=True)


def with_categories(*categories: tuple[int, str, Any]) -> dict[str, Any]:
    entries = [{"id": id, "name": name, "supercategory": parent} for id, name, parent in categories]
    return {**CONTENT, "categories": entries}


CATEGORIES = {
    # Roboflow lists the data set itself; annotated are 3 and 9.
    "a root": ([(0, "pets", "none"), (3, "dog", "pets"), (9, "kite", "pets")], (3, 9), "annotated with: 0 (pets)"),
    "a root of the same name": ([(0, "dog", "none"), (3, "dog", "dog"), (9, "kite", "dog")], (3, 9), "0 (dog)"),
    "two levels": ([(0, "all", None), (1, "pets", "all"), (3, "dog", "pets"), (9, "kite", "all")], (3, 9), "1 (pets)"),
    "annotated itself": ([(9, "pets", "none"), (3, "dog", "pets")], (3, 9), ""),
    "its own parent": ([(3, "dog", "dog"), (5, "person", "person"), (9, "kite", "toy")], (3, 5, 9), ""),
    "a circle": ([(1, "a", "b"), (2, "b", "a"), (3, "dog", "a"), (9, "kite", "")], (3, 9), "1 (a), 2 (b)"),
    "other values": ([(3, "dog", 7), (7, "7", ["dog"]), (9, "kite", {})], (3, 7, 9), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_that_only_group_others_are_left_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    categories, ids, message = CATEGORIES[name]
    found = parse_annotations(with_categories(*categories), "here")
    assert found.category_ids == ids
    assert "left out categories that others belong to" in caplog.text if message else not caplog.text
    assert message in caplog.text
