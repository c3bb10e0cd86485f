"""Annotation files: what is read, and what is refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from yolact.runtime.errors import DatasetError
from yolact.training.data.annotations import Annotation, decode_mask, parse_annotations, read_annotations
from yolact.training.data.datasets import CocoDataset

CONTENT: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.png", "height": 40, "width": 60}],
    "categories": [{"id": 9, "name": "kite"}, {"id": 3, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [10, 5, 20, 10], "iscrowd": 0,
         "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1,
         "segmentation": {"size": [40, 60], "counts": [0, 2400]}},
    ],
}  # fmt: skip


def test_classes_are_the_files_categories_by_id() -> None:
    found = parse_annotations(CONTENT, "here")
    assert (found.class_names, found.category_ids) == (("dog", "kite"), (3, 9))
    (image,) = found.images
    assert (image.id, image.size) == (7, (40, 60))
    assert [(a.box, a.is_crowd) for a in image.annotations] == [((10, 5, 20, 10), False), ((0, 0, 60, 40), True)]


def test_masks_of_polygons_and_runs() -> None:
    image = parse_annotations(CONTENT, "here").images[0]
    box, crowd = (decode_mask(annotation, image.size) for annotation in image.annotations)
    expected = np.zeros((40, 60), np.uint8)
    expected[5:15, 10:30] = 1
    np.testing.assert_array_equal(box, expected)
    assert crowd.shape == (40, 60) and crowd.all()
    # Runs go down the columns: 2 rows, 3 columns, the pixels 1 and 2 of the second column's start.
    runs = Annotation(1, 3, (0, 0, 3, 2), {"size": [2, 3], "counts": [2, 1, 3]}, False)
    np.testing.assert_array_equal(decode_mask(runs, (2, 3)), [[0, 1, 0], [0, 0, 0]])


def test_boxes_without_area_are_left_out_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"].append({**content["annotations"][0], "id": 5, "bbox": [10, 5, 20, 0]})
    found = parse_annotations(content, "here")
    assert [a.id for a in found.images[0].annotations] == [1, 2]
    assert "left out 1 annotations" in caplog.text and "such as 5" in caplog.text


def edit(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set `annotations.0.bbox`, or delete it where the value is `...`."""

    def apply(content: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        target: Any = content
        for part in parents:
            target = target[part]
        if value is ...:
            del target[last]
        else:
            target[last] = value

    return apply


REJECTED = {
    "no images": (edit("images", ...), "has no list of images"),
    "images of another type": (edit("images", {}), "has no list of images"),
    "no image": (edit("images", []), "has no images"),
    "no categories": (edit("categories", []), "has no categories"),
    "unknown image": (edit("annotations.0.image_id", 8), "annotation 1 is on image 8"),
    "unknown category": (edit("annotations.1.category_id", 4), "annotation 2 has category 4"),
    "repeated annotation": (edit("annotations.1.id", 1), "two entries with annotation id 1"),
    "repeated category": (edit("categories.1.id", 9), "two entries with category id 9"),
    "text as id": (edit("images.0.id", "7"), "image id '7' is no whole number"),
    "box of three": (edit("annotations.0.bbox", [1, 2, 3]), "expected a box [x, y, width, height]"),
    "box of NaN": (edit("annotations.0.bbox", [1, 2, float("nan"), 3]), "expected a box"),
    "box beyond": (edit("annotations.0.bbox", [50, 5, 20, 10]), "does not lie in the image of 60x40"),
    "box three rows below": (edit("annotations.0.bbox", [10, 33, 20, 10]), "does not lie in the image of 60x40"),
    "no box": (edit("annotations.0.bbox", ...), "annotation 1 is not in COCO's format: KeyError('bbox')"),
    "null as box": (edit("annotations.0.bbox", None), "annotation 1 is not in COCO's format"),
    "text as box": (edit("annotations.0.bbox", "1234"), "expected a box"),
    "huge box": (edit("annotations.0.bbox", [1, 1, 10**400, 1]), "annotation 1 is not in COCO's format"),
    "null as runs": (edit("annotations.1.segmentation.counts", None), "annotation 2 is not in COCO's format"),
    "text as crowd": (edit("annotations.0.iscrowd", "false"), "annotation 1: expected 0 or 1 as iscrowd, got 'false'"),
    "negative height": (edit("images.0.height", -40), "image 7 has height and width (-40, 60)"),
    "infinite height": (edit("images.0.height", float("inf")), "image 7 has height and width (inf, 60)"),
    "outline beyond": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, 99]]), "its outline does not lie"),
    "two corners": (edit("annotations.0.segmentation", [[10, 5, 30, 5]]), "expected polygons"),
    "odd corners": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, 9, 1]]), "expected polygons"),
    "text in a polygon": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, "9"]]), "no numbers"),
    "no polygons": (edit("annotations.0.segmentation", []), "expected polygons or a run-length"),
    "runs of another image": (edit("annotations.1.segmentation.size", [60, 40]), "its mask has [height, width]"),
    "negative runs": (edit("annotations.1.segmentation.counts", [-5, 2405]), "must be whole numbers from 0 on"),
    "broken runs": (edit("annotations.1.segmentation.counts", [5.5, 2394.5]), "must be whole numbers from 0 on"),
    "damaged runs": (edit("annotations.1.segmentation.counts", "ooo"), "ends within a run"),
    "runs too short": (edit("annotations.1.segmentation.counts", [0, 2399]), "its runs cover 2399 pixels"),
    "no size": (edit("images.0.height", ...), "KeyError('height')"),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_contradictions_are_named(name: str) -> None:
    change, message = REJECTED[name]
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(DatasetError) as error:
        parse_annotations(content, "here.json")
    assert message in str(error.value) and "here.json" in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "nothing"])
def test_files_that_are_no_annotations(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DatasetError, match=r"a\.json"):
        read_annotations(tmp_path / "a.json")
    with pytest.raises(DatasetError, match="cannot read"):
        read_annotations(tmp_path / "b.json")


@pytest.mark.parametrize("seed", range(20))
def test_compressed_runs(seed: int) -> None:
    """Encoded by pycocotools; of a damaged text it would make masks of uninitialised memory."""
    mask = np.asfortranarray(np.random.default_rng(seed).random((40, 60)) < seed / 20, np.uint8)
    encoded = coco_mask.encode(mask)
    content = copy.deepcopy(CONTENT)
    segmentation = {"size": [40, 60], "counts": encoded["counts"].decode()}
    content["annotations"][0]["segmentation"] = segmentation
    annotation = parse_annotations(content, "here").images[0].annotations[0]
    np.testing.assert_array_equal(decode_mask(annotation, (40, 60)), mask)
    segmentation["counts"] = segmentation["counts"][:-1] + "11"
    with pytest.raises(DatasetError, match=r"annotation 1: its run|ends within a run"):
        parse_annotations(content, "here")


def test_real_photos(shared: Path) -> None:
    """Against the file as plain JSON, and masks against a polygon's area by the shoelace formula."""
    source = shared / "coco" / "val.json"
    raw = json.loads(source.read_text())
    dataset = CocoDataset(source, shared / "coco" / "images")
    assert len(dataset.class_names) == 80 and dataset.category_ids[-1] == 90
    annotated = {a["image_id"] for a in raw["annotations"] if not a["iscrowd"]}
    assert len(dataset) == len(annotated)
    category = dict(zip(dataset.category_ids, range(80), strict=True))
    order = [image["id"] for image in raw["images"] if image["id"] in annotated]
    for index in range(0, len(dataset), 4):
        sample = dataset[index]
        expected = [a for a in raw["annotations"] if a["image_id"] == order[index]]
        objects = [a for a in expected if not a["iscrowd"]]
        assert sample.class_ids.tolist() == [category[a["category_id"]] for a in objects]
        assert len(sample.crowd_boxes) == len(expected) - len(objects)
        assert sample.masks.shape == (len(objects), *sample.image.shape[:2])
        for mask, a, box in zip(sample.masks, objects, sample.boxes, strict=True):
            assert int(mask.sum()) == pytest.approx(a["area"], rel=0.15, abs=60)
            rows, columns = np.nonzero(mask)
            assert columns.min() >= box[0] - 2 and columns.max() <= box[2] + 2
            assert rows.min() >= box[1] - 2 and rows.max() <= box[3] + 2
