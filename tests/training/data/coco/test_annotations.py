"""Annotation files: what is read, and what is refused by name."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from annotation_content import CONTENT, Edit, edit
from pycocotools import mask as coco_mask

from yolact.runtime.errors import DatasetError
from yolact.training.data.coco.annotations import Annotation, decode_mask, parse_annotations, read_annotations
from yolact.training.data.datasets import CocoDataset


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
    runs = Annotation(1, 3, (0, 0, 3, 2), 1, {"size": [2, 3], "counts": [2, 1, 3]}, False)
    np.testing.assert_array_equal(decode_mask(runs, (2, 3)), [[0, 1, 0], [0, 0, 0]])


def test_boxes_without_area_are_left_out_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"].append({**content["annotations"][0], "id": 5, "bbox": [10, 5, 20, 0]})
    found = parse_annotations(content, "here")
    assert [a.id for a in found.images[0].annotations] == [1, 2]
    assert "here: left out 1 annotation whose box has no area, such as annotation 5" in caplog.text


RUNS = {"size": [40, 60], "counts": [0, 2400]}
SQUARE = [10, 5, 30, 5, 30, 15, 10, 15]
TEXT_RUNS = coco_mask.encode(np.asfortranarray(np.ones((40, 60), np.uint8)))["counts"]

VIA = {"all_points_x": SQUARE[::2], "all_points_y": SQUARE[1::2]}
NAN, HUGE = float("nan"), 10**400

SAME = {
    "ids as text": [edit("images.0.id", "7"), edit("annotations.0.image_id", "7.0"), edit("categories.0.id", " 9 ")],
    "ids as fractions": [edit("images.0.id", 7.0), edit("annotations.0.category_id", 9.0)],
    "a category's id as a fraction": [edit("categories.1.id", 3.0)],
    "annotation ids as text": [edit("annotations.0.id", "1"), edit("annotations.1.id", 2.0)],
    "no annotation ids": [edit("annotations.0.id", ...), edit("annotations.1.id", None)],
    "an annotation id twice": [edit("annotations.1.id", 1)],
    "sizes as fractions": [edit("images.0.height", 40.0), edit("images.0.width", "60")],
    "crowd as null": [edit("annotations.0.iscrowd", None), edit("annotations.1.iscrowd", "1")],
    "crowd as truth": [edit("annotations.0.iscrowd", False), edit("annotations.1.iscrowd", True)],
    "no crowd": [edit("annotations.0.iscrowd", ...), edit("annotations.1.iscrowd", 1.0)],
    "fractional runs": [edit("annotations.1.segmentation.counts", [0.0, "2400"])],
    "runs in a list": [edit("annotations.1.segmentation", [RUNS])],
    "two masks of runs": [
        edit("annotations.1.segmentation", [{**RUNS, "counts": [0, 1000, 1400]}, {**RUNS, "counts": [900, 1500]}])
    ],
    "runs without size": [edit("annotations.1.segmentation", {"counts": [0, 2400]})],
    "size of runs as text": [edit("annotations.1.segmentation.size", ["40", 60.0])],
    "text runs": [edit("annotations.1.segmentation.counts", TEXT_RUNS.decode())],
    "bytes": [edit("annotations.1.segmentation.counts", TEXT_RUNS)],
    "bytes as Python shows them": [edit("annotations.1.segmentation.counts", str(TEXT_RUNS))],
    "a flat polygon": [edit("annotations.0.segmentation", SQUARE)],
    "a polygon as text": [edit("annotations.0.segmentation", [[str(value) for value in SQUARE]])],
    "points of a polygon": [edit("annotations.0.segmentation", [[10, 5], [30, 5], [30, 15], [10, 15]])],
    "points in a polygon": [edit("annotations.0.segmentation", [[[10, 5], [30, 5], [30, 15], [10, 15]]])],
    "points by name": [
        edit("annotations.0.segmentation", [[{"x": x, "y": y} for x, y in zip(SQUARE[::2], SQUARE[1::2], strict=True)]])
    ],
    "no boxes": [edit("annotations.0.bbox", ...), edit("annotations.1.bbox", None)],
    "a box as text": [edit("annotations.0.bbox", ["10", 5.0, "20", "1e1"])],
    "no size of runs": [edit("annotations.1.segmentation.size", None)],
    "no sizes of runs": [edit("annotations.1.segmentation.size", [None, 60])],
    "a part that is null": [edit("annotations.0.segmentation", [None, SQUARE, None])],
    "a point that is null": [edit("annotations.0.segmentation", [[[10, 5], None, [30, 5], [30, 15], [10, 15]]])],
    "entries that are null": [
        lambda c: [c[part].insert(0, None) for part in ("images", "categories", "annotations")]],
    "no supercategory": [edit("categories.0.supercategory", None)],
    "empty fields": [
        edit("annotations.0.iscrowd", ""), edit("annotations.0.area", " "), edit("annotations.0.bbox", ""),
        edit("annotations.1.bbox", [])],
    "fields that are NaN, as of tables": [
        edit("annotations.0.iscrowd", NAN), edit("annotations.0.area", NAN), edit("annotations.0.bbox", NAN)],
    "a box of nulls": [edit("annotations.0.bbox", [None] * 4), edit("annotations.0.area", [])],
    "crowd in words": [edit("annotations.0.iscrowd", "false"), edit("annotations.1.iscrowd", " True")],
    "runs in lists": [edit("annotations.1.segmentation", [[[RUNS]]])],
    "two masks in lists": [
        edit("annotations.1.segmentation", [[{**RUNS, "counts": [0, 1000, 1400]}], [{**RUNS, "counts": [900, 1500]}]])],
    "a list as text": [edit("annotations.1.segmentation.counts", "[0, 2400]")],
    "numbers as text": [edit("annotations.1.segmentation.counts", " 0 2400\n")],
    "text runs in a line": [edit("annotations.1.segmentation.counts", TEXT_RUNS.decode() + "\n")],
    "all of it as text": [
        edit("annotations.0.segmentation", str([SQUARE])), edit("annotations.0.bbox", "[10, 5, 20, 10]"),
        edit("annotations.1.segmentation", json.dumps(RUNS))],
    "fields of tables": [
        edit("annotations.0.segmentation", "10, 5, 30, 5, 30, 15, 10, 15"), edit("annotations.0.bbox", "10 5 20 1e1"),
        edit("annotations.0.area", "nan"), edit("annotations.0.iscrowd", "None"),
        edit("annotations.1.segmentation.size", "40 60"), edit("annotations.1.bbox", "[]")],
    "a box in a list": [edit("annotations.0.bbox", [[10, 5, 20, 10]])],
    "parts as text": [edit("annotations.0.segmentation", [str(SQUARE)])],
    "a polygon in lists": [edit("annotations.0.segmentation", [[[SQUARE]]])],
    "points in lists": [edit("annotations.0.segmentation", [[[[10, 5], [30, 5], [30, 15], [10, 15]]]])],
    "VIA's points": [edit("annotations.0.segmentation", VIA)],
    "VIA's points in a list": [edit("annotations.0.segmentation", [{**VIA, "name": "polygon"}])],
    "a box by name": [edit("annotations.0.bbox", {"x": 10, "y": "5", "width": 20, "height": 10})],
    "a box by letter": [edit("annotations.0.bbox", {"x": 10, "y": 5, "w": 20.0, "h": 10})],
    "corners by name": [edit("annotations.0.bbox", {"xmin": 10, "ymin": 5, "xmax": "30", "ymax": 15})],
    "invisible characters around a name": [edit("categories.0.name", "\ufeffkite\u200b \u00ad")],
    "an image twice": [lambda content: content["images"].append(dict(content["images"][0]))],
    "a category twice": [lambda content: content["categories"].append(dict(content["categories"][0]))],
    "blanks around a name": [edit("categories.0.name", " kite ")],
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_has_one_meaning_is_taken(name: str, caplog: pytest.LogCaptureFixture) -> None:
    content, expected = copy.deepcopy(CONTENT), parse_annotations(CONTENT, "here")
    for change in SAME[name]:
        change(content)
    found = parse_annotations(content, "here")
    assert (found.class_names, found.category_ids) == (expected.class_names, expected.category_ids)
    (image,), (same,) = found.images, expected.images
    assert (image.id, image.file_name, image.size) == (same.id, same.file_name, same.size)
    assert len({annotation.id for annotation in image.annotations}) == len(image.annotations) == 2
    for one, other in zip(image.annotations, same.annotations, strict=True):
        assert (one.category_id, one.box, one.area, one.is_crowd) == (
            other.category_id, other.box, other.area, other.is_crowd)  # fmt: skip
        np.testing.assert_array_equal(decode_mask(one, image.size), decode_mask(other, image.size))
    assert not caplog.text


LEFT_OUT: dict[str, tuple[Edit, str]] = {
    "null as segmentation": (edit("annotations.0.segmentation", None), "annotation without a segmentation"),
    "no segmentation": (edit("annotations.0.segmentation", ...), "annotation without a segmentation"),
    "no polygons": (edit("annotations.0.segmentation", []), "annotation without a segmentation"),
    "an empty object": (edit("annotations.0.segmentation", {}), "annotation without a segmentation"),
    "no runs": (edit("annotations.0.segmentation", {"size": [40, 60], "counts": []}), "without a segmentation"),
    "empty text": (edit("annotations.0.segmentation", {"size": [40, 60], "counts": ""}), "without a segmentation"),
    "two corners": (edit("annotations.0.segmentation", [[10, 5, 30, 5]]), "annotation without a segmentation"),
    "a flat box": (edit("annotations.0.bbox", [10, 5, 20, 0]), "annotation whose box has no area"),
    "a negative box": (edit("annotations.0.bbox", [30, 15, -20, -10]), "annotation whose box has no area"),
    "null as runs": (edit("annotations.0.segmentation", {"size": [40, 60], "counts": None}), "without a segmentation"),
    "no counts": (edit("annotations.0.segmentation", {"size": [40, 60]}), "annotation without a segmentation"),
    "no box and no pixel": (
        lambda c: c["annotations"][0].update(bbox=None, segmentation={"counts": [2400]}), "neither a box nor a pixel"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_has_no_mask_or_no_size_is_left_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    change, reason = LEFT_OUT[name]
    content = copy.deepcopy(CONTENT)
    change(content)
    (image,) = parse_annotations(content, "here").images
    assert [annotation.id for annotation in image.annotations] == [2]
    assert "here: left out 1 annotation" in caplog.text and reason in caplog.text


def test_parts_of_two_points_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"][0]["segmentation"] += [[50, 30, 51, 31], [50, 30]]
    (image,) = parse_annotations(content, "here").images
    np.testing.assert_array_equal(
        decode_mask(image.annotations[0], (40, 60)),
        decode_mask(parse_annotations(CONTENT, "here").images[0].annotations[0], (40, 60)),
    )
    assert "left out 2 parts of fewer than three points, such as one of annotation 1" in caplog.text


REJECTED: dict[str, tuple[Edit, str]] = {
    "no images": (edit("images", ...), "has no list of images"),
    "images of another type": (edit("images", {}), "has no list of images"),
    "no image": (edit("images", []), "has no images"),
    "no categories": (edit("categories", []), "has no categories"),
    "unknown image": (edit("annotations.0.image_id", 8), "annotation 1 is on image 8"),
    "unknown category": (edit("annotations.1.category_id", 4), "annotation 2 has category 4"),
    "no image of it": (edit("annotations.0.image_id", ...), "annotation 1 is on image null"),
    "a list as image": (edit("annotations.0.image_id", [7]), "annotation 1 is on image [7]"),
    "an image that is a number": (edit("images.0", 5), "entry 1 of images is 5; expected an object"),
    "an annotation that is text": (edit("annotations.1", "x"), 'entry 2 of annotations is "x"; expected an object'),
    "another category of that id": (edit("categories.1.id", 9), '9 is there twice, as "kite" and as "dog"'),
    "another image of that id": (
        lambda c: c["images"].append({**c["images"][0], "file_name": "b.png"}), "image 7 is there twice"),
    "another size of that id": (lambda c: c["images"].append({**c["images"][0], "width": 6}), "image 7 is there twice"),
    "words as id": (edit("images.0.id", "x7"), 'entry 1 of images has "x7" as id; expected a whole number'),
    "truth as id": (edit("categories.0.id", True), "has true as id"),
    "a fraction as id": (edit("images.0.id", 7.5), "has 7.5 as id"),
    "a huge id": (edit("images.0.id", HUGE), "as id; expected a whole number"),
    "NaN as id": (edit("images.0.id", NAN), "has NaN as id"),
    "no file name": (edit("images.0.file_name", ...), "image 7 has null as file_name"),
    "a number as file name": (edit("images.0.file_name", 12), "image 7 has 12 as file_name"),
    "a zero in a file name": (edit("images.0.file_name", "a\0.png"), "as file_name"),
    "no category name": (edit("categories.0.name", ...), "category 9 has null as name; expected a text"),
    "an empty name": (edit("categories.0.name", " "), 'category 9 has " " as name'),
    "a list as name": (edit("categories.0.name", ["kite"]), 'category 9 has ["kite"] as name'),
    "half a surrogate pair": (edit("categories.0.name", "k\ud800"), "half of a surrogate pair"),
    "NUL in a name": (edit("categories.0.name", "k\0"), "or NUL in its name"),
    "a name without end": (edit("categories.0.name", "k" * 10_001), "has a name of 10001 characters; expected at most"),
    "a category id that no model keeps": (edit("categories.0.id", -(2**62)), "number the categories anew"),
    "box of three": (edit("annotations.0.bbox", [1, 2, 3]), "has [1, 2, 3] as box; expected a box [x, y, width"),
    "box of NaN": (edit("annotations.0.bbox", [1, 2, NAN, 3]), "has [1, 2, NaN, 3] as box"),
    "box of truths": (edit("annotations.0.bbox", [True, 2, 3, 4]), "has [true, 2, 3, 4] as box"),
    "an object as box": (edit("annotations.0.bbox", {"x": 1}), "has an object as box"),
    "box beyond": (edit("annotations.0.bbox", [50, 5, 20, 10]), "does not lie in the image of 60x40"),
    "box three rows below": (edit("annotations.0.bbox", [10, 33, 20, 10]), "does not lie in the image of 60x40"),
    "text as box": (edit("annotations.0.bbox", "1234"), 'has "1234" as box'),
    "huge box": (edit("annotations.0.bbox", [1, 1, HUGE, 1]), "annotation 1 has [1, 1, 1000"),
    "negative area": (edit("annotations.0.area", -1), "has -1 as area"),
    "text as area": (edit("annotations.0.area", "wide"), 'has "wide" as area'),
    "a box with more names": (edit("annotations.0.bbox", dict.fromkeys(("x", "y", "w", "h", "d"), 5)), "object as box"),
    "an object as runs": (edit("annotations.1.segmentation.counts", {"a": 1}), "annotation 2 has an object as counts"),
    "text as crowd": (edit("annotations.0.iscrowd", "no"), 'annotation 1 has "no" as iscrowd; expected 0 or 1'),
    "a null among sides": (edit("annotations.0.bbox", [10, 5, None, 10]), "has [10, 5, null, 10] as box"),
    "a null among corners": (edit("annotations.0.segmentation", [[10, 5, None, 5, 30, 15]]), "no numbers"),
    "VIA's points that are no pairs": (
        edit("annotations.0.segmentation", [{**VIA, "all_points_y": [1]}]), "no lists of the same length"),
    "another object": (edit("annotations.0.segmentation", [{"cx": 5, "cy": 5, "r": 2}]), "has an object as a polygon"),
    "runs as a text of another length": (edit("annotations.1.segmentation.counts", "0 2399"), "cover 2399 pixels"),
    "shares as polygon": (
        edit("annotations.0.segmentation", [[0.1, 0.1, 0.5, 0.1, 0.5, 0.4]]), "1 has coordinates that all lie between"),
    "shares that are rounded": (
        edit("annotations.0.segmentation", [[-0.001, 0.1, 1.002, 0.1, 0.5, 0.4]]), "coordinates that all lie between"),
    "blanks among runs": (edit("annotations.1.segmentation.counts", ("1" + " " * 2000) * 2000 + "x"), "does not know"),
    "text as runs": (edit("annotations.1.segmentation.counts", "null!"), "does not know"),
    "shares as box": (edit("annotations.0.bbox", [0, 0.125, 0.5, 1]), "so multiply x by the image's width and y by"),
    "only invisible characters": (edit("categories.0.name", "\u200b\ufeff"), "as name; expected a text"),
    "a number of thousands of digits": (edit("annotations.0.area", 10**7000), "number of thousands of digits as area"),
    "crowd of two": (edit("annotations.0.iscrowd", 2), "annotation 1 has 2 as iscrowd"),
    "negative height": (edit("images.0.height", -40), "image 7 has height and width [-40, 60]"),
    "infinite height": (edit("images.0.height", float("inf")), "image 7 has height and width [Infinity, 60]"),
    "no height": (edit("images.0.height", ...), "image 7 has height and width [null, 60]"),
    "truth as height": (edit("images.0.height", True), "image 7 has height and width [true, 60]"),
    "height beyond anything": (edit("images.0.height", 2**40), "expected whole numbers from 1 to 1048576"),
    "too many pixels": (lambda c: c["images"][0].update(height=2**20, width=2**20), "expected at most 536870912"),
    "outline beyond": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, 99]]), "does not lie in the image"),
    "huge outline": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, HUGE]]), "no numbers"),
    "NaN in a polygon": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, NAN]]), "no numbers"),
    "odd corners": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, 9, 1]]), "expected polygons"),
    "words in a polygon": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, "x"]]), "no numbers"),
    "a list in a polygon": (edit("annotations.0.segmentation", [[10, 5, 30, 5, 30, [9]]]), "no numbers"),
    "points and numbers": (edit("annotations.0.segmentation", [[[10, 5], [30, 5], [30, 9], 1]]), "expected polygons"),
    "polygons and runs": (edit("annotations.0.segmentation", [SQUARE, RUNS]), "has an object as a polygon"),
    "a number as segmentation": (edit("annotations.0.segmentation", 5), "expected polygons or a run-length"),
    "text as segmentation": (edit("annotations.0.segmentation", "abc"), 'has "abc" as segmentation'),
    "runs of another image": (edit("annotations.1.segmentation.size", [60, 40]), "a mask of [height, width] [60, 40]"),
    "negative runs": (edit("annotations.1.segmentation.counts", [-5, 2405]), "no whole numbers from 0 on"),
    "broken runs": (edit("annotations.1.segmentation.counts", [5.5, 2394.5]), "no whole numbers from 0 on"),
    "damaged runs": (edit("annotations.1.segmentation.counts", "ooo"), "ends within a run"),
    "runs too short": (edit("annotations.1.segmentation.counts", [0, 2399]), "has runs that cover 2399 pixels"),
    "runs too long": (edit("annotations.1.segmentation.counts", [0, HUGE]), "no whole numbers from 0 on"),
    "runs in other letters": (edit("annotations.1.segmentation.counts", "\u6f22\ud800"), "does not know"),
    "runs in small letters": (edit("annotations.1.segmentation.counts", "zz"), "does not know"),
    "half bytes": (edit("annotations.1.segmentation.counts", "b'ab"), "in no form that COCO knows"),
    # A group that says that another follows, and no bit of the number: pycocotools shifts by them nevertheless.
    "groups without end": (
        edit("annotations.1.segmentation.counts", "0" + "P" * 100_000 + "0"), "written in more than 6 groups"),
    "an endless outline": (
        edit("annotations.0.segmentation", [[0, 0, 60, 40] * 100_000]), "expected at most 2000000"),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_contradictions_are_named(name: str) -> None:
    change, message = REJECTED[name]
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(DatasetError) as error:
        parse_annotations(content, "here.json")
    assert message in str(error.value) and "here.json" in str(error.value)
    assert len(str(error.value)) < 300 and "Error(" not in str(error.value)


def test_numbers_as_names() -> None:
    content = copy.deepcopy(CONTENT)
    content["categories"] = [{"id": 3, "name": 5}, {"id": 9, "name": 2.5}]
    assert parse_annotations(content, "here").class_names == ("5", "2.5")


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_files(tmp_path: Path, encoding: str) -> None:
    content = {**CONTENT, "categories": [{"id": 3, "name": "Hündchen 漢字"}, {"id": 9, "name": "kite"}]}
    (tmp_path / "a.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    assert read_annotations(tmp_path / "a.json").class_names == ("Hündchen 漢字", "kite")


NO_ANNOTATIONS = ("", "{", "[]", "nothing", "5", "[" * 200_000, '{"a":' * 200_000, "9" * 7000, "\xff\xfe\x00")


@pytest.mark.parametrize("text", NO_ANNOTATIONS, ids=lambda text: text[:8])
def test_files_that_are_no_annotations(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=r"a\.json") as error:
        read_annotations(tmp_path / "a.json")
    assert "sys." not in str(error.value), "no advice of Python's"
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
    with pytest.raises(DatasetError, match=r"annotation 1 has (runs that cover|run lengths that|a run-length)"):
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


def test_a_device_is_no_file() -> None:
    with pytest.raises(DatasetError, match="cannot read /dev/zero: it is a device, not a file"):
        read_annotations(Path("/dev/zero"))
