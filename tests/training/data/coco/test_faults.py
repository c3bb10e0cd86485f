"""How faults of an annotation file are told: all at once, one of many annotations once, the rest in a file."""

from __future__ import annotations

import copy
import pickle
import tempfile
from pathlib import Path
from typing import Any

import pytest
from annotation_content import CONTENT

from yolact.runtime.errors import DatasetError
from yolact.training.data.coco.annotations import parse_annotations


def test_all_faults_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    content = copy.deepcopy(CONTENT)
    content["images"].append({"id": 8, "file_name": "b.png", "height": -1, "width": 60})
    content["categories"][0]["name"] = "kite\ud800"
    content["annotations"][0]["image_id"] = 8  # no fault of its own: its image is listed
    for number in range(23):
        content["annotations"].append({**CONTENT["annotations"][0], "id": 100 + number, "bbox": [number, "a\nb", 1, 1]})
    with pytest.raises(DatasetError) as error:
        parse_annotations(content, "here.json")
    message = str(error.value)
    assert message.startswith("here.json has 25 faults: (1) category 9 has half of a surrogate pair")
    assert "(2) image 8 has height and width [-1, 60]" in message and "; 1 annotation is on it; (3)" in message
    assert "(10) annotation 107 has" in message
    assert "(11)" not in message and "annotation 108" not in message
    (listed,) = tmp_path.iterdir()
    assert message.endswith(f"; all of them are listed in {listed}")
    lines = listed.read_text(encoding="utf-8").splitlines()
    assert (
        len(lines) == 25
        and lines[24] == 'annotation 122 has [22, "a\\nb", 1, 1] as box; expected a box [x, y, width, height]'
    )
    content["annotations"][12:] = []
    with pytest.raises(DatasetError, match=r"has 12 faults: .* all of them are listed in"):
        parse_annotations(content, "here.json")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DatasetError, match=r"has 12 faults: .*the list of all could not be written \(No such file"):
        parse_annotations(content, "here.json")


def test_few_faults_need_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    content = copy.deepcopy(CONTENT)
    content["annotations"] = [{**CONTENT["annotations"][0], "id": id, "bbox": [id]} for id in range(10)]
    with pytest.raises(
        DatasetError, match=r"has 10 faults: .*\(10\) annotation 9 has \[9\] as box[^;]*; [^;]*height\]$"
    ) as error:
        parse_annotations(content, "here.json")
    assert not list(tmp_path.iterdir())
    head, *faults = error.value.lines
    assert head == "here.json has 10 faults:" and faults[9].startswith("  10. annotation 9 has [9] as box")
    assert pickle.loads(pickle.dumps(error.value)).lines == error.value.lines, "it comes from workers too"


TOGETHER: dict[str, tuple[dict[str, Any], str]] = {
    "a category": ({"category_id": 7}, "14 annotations have category 7, which is not in the list of categories, the"),
    "an image": ({"image_id": 70}, "14 annotations are on image 70, which is not in the list of images, the first"),
    "a word": ({"iscrowd": "no"}, '14 annotations have "no" as iscrowd; expected 0 or 1; the first'),
    "shares": ({"bbox": [0.1, 0.1, 0.5, 0.5]}, "14 annotations have coordinates that all lie between 0 and 1"),
    "a size": ({"bbox": [99, 1, 1, 1]}, "14 annotations on image 7 do not fit its size: the first"),
    "runs of a size": ({"segmentation": {"size": [1, 1], "counts": [1]}}, "14 annotations on image 7 do not fit"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_one_fault_of_many_annotations_is_told_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    values, message = TOGETHER[name]
    content = copy.deepcopy(CONTENT)
    content["annotations"] += [{**content["annotations"][0], "id": id, **values} for id in range(11, 25)]
    with pytest.raises(DatasetError) as error:
        parse_annotations(content, "here.json")
    assert str(error.value).startswith(f"here.json: {message}") and "first is annotation 11" in str(error.value)
    (listed,) = tmp_path.iterdir()
    assert str(error.value).endswith(f"; all of them are listed in {listed}")
    assert [line[:13] for line in listed.read_text().splitlines()] == [f"annotation {id}" for id in range(11, 25)]


def test_a_faulty_image_is_told_once() -> None:
    content = copy.deepcopy(CONTENT)
    content["images"][0]["height"] = -1
    with pytest.raises(DatasetError, match=r"image 7 has height .* 1048576; 2 annotations are on it$"):
        parse_annotations(content, "here.json")


@pytest.mark.parametrize(("part", "name"), [("images", "image_id"), ("categories", "category_id")])
def test_what_follows_from_a_fault_is_no_other(part: str, name: str) -> None:
    content = copy.deepcopy(CONTENT)
    old, content[part][0]["id"] = content[part][0]["id"], "000a1249af2bc5f0"
    for annotation in content["annotations"]:
        if annotation[name] == old:
            annotation[name] = "000a1249af2bc5f0"
    with pytest.raises(DatasetError, match=f'^here: entry 1 of {part} has "000a1249af2bc5f0" as id; expected a whole'):
        parse_annotations(content, "here")
