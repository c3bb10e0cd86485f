"""Files that are not COCO's: the message names whose they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from annotation_content import CONTENT

from yolact.runtime.errors import DatasetError
from yolact.training.data.coco.annotations import parse_annotations, read_annotations

REGION = {"shape_attributes": {"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2, 3]}}

VALUES: dict[str, tuple[Any, str]] = {
    "VIA": ({"a.png123": {"filename": "a.png", "size": 123, "regions": [REGION]}}, "is in VIA's own format; export"),
    "a VIA project": ({"_via_settings": {}, "_via_img_metadata": {}}, "is in VIA's own format"),
    "LabelMe": ({"version": "5.2.1", "flags": {}, "shapes": [], "imagePath": "a.png"}, "is in LabelMe's own format"),
    "Label Studio": ([{"id": 1, "annotations": [{"result": []}], "data": {"image": "a"}}], "Label Studio's own format"),
    "short Label Studio": ([{"image": "/a.png", "id": 1, "annotator": 1, "annotation_id": 2}], "Label Studio's short"),
    "Supervisely": ({"description": "", "tags": [], "size": {}, "objects": []}, "is in Supervisely's own format"),
    "Datumaro": ({"info": {}, "categories": {"label": {}}, "items": []}, "is in Datumaro's own format"),
    "FiftyOne": ({"samples": [{}]}, "is in FiftyOne's own format"),
    "FiftyOne's labels": ({"classes": ["a"], "labels": {}}, "is in FiftyOne's own format"),
    "SAM": ({"image": {"image_id": 1}, "annotations": []}, "is in the format of SA-1B, a file for each image"),
    "results": ([{"image_id": 7, "category_id": 3, "segmentation": {}, "score": 0.5}], "is a list of detections"),
    "Detectron2": ([{"file_name": "a.png", "image_id": 1, "annotations": []}], "is Detectron2's own list of images"),
    "CreateML": ([{"image": "a.png", "annotations": [{"label": "a"}]}], "is in CreateML's own format"),
    "panoptic": (
        {**CONTENT, "annotations": [{"image_id": 7, "file_name": "a.png", "segments_info": []}]}, "panoptic format"),
    "Cityscapes": ({"imgHeight": 1, "imgWidth": 1, "objects": []}, "is in Cityscapes' own format"),
    "Hasty": ({"project_name": "x", "images": [], "label_classes": []}, "is in Hasty's own format"),
    "VoTT": ({"asset": {}, "regions": []}, "is in VoTT's own format"),
    "YouTube-VIS": ({"videos": [], "categories": [], "annotations": []}, "is in YouTube-VIS's format, of videos"),
    "old Label Studio": ([{"completions": [], "data": {}}], "is in an old format of Label Studio"),
    "old Labelbox": ([{"ID": "a", "Labeled Data": "b", "Label": {}}], "is in an old format of Labelbox"),
    "Scalabel": ([{"name": "a", "labels": []}], "is in Scalabel's own format"),
    "GeoJSON": ({"type": "FeatureCollection", "features": []}, "is a feature collection of GeoJSON"),
    "panoptic with a gap": ({**CONTENT, "annotations": [None, {"segments_info": []}]}, "panoptic format"),
    "other fields": ({"Images": [], "coco": 1}, 'has no list of images, but "Images", "coco"; expected annotations in'),
    "a list": ([CONTENT], "holds a list; expected an object in COCO's format"),
    "nothing known": ({"a": {"b": 1}}, "has no list of images"),
    "COCO's captions": ({**CONTENT, "categories": None}, "has no list of categories"),
}  # fmt: skip

TEXTS: dict[str, tuple[bytes, str]] = {
    "a.xml": (b"<annotation>\n<folder>a</folder>", "is in Pascal VOC's XML; export the annotations in COCO's format"),
    "b.xml": (b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1', "is in CVAT's own XML"),
    "e.xml": (b'<?xml version="1.0"?>\n<!-- by hand -->\n<annotation verified="no">', "is in Pascal VOC's XML"),
    "c.json": (b"\xef\xbb\xbf<!doctype html>", "is XML or HTML"),
    "a.txt": (b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.2 0.2\n", "is in YOLO's text format"),
    "b.txt": (b"12 0.5 0.5 0.25 0.25 0.1 0.3", "is in YOLO's text format"),
    "data.yaml": (b"train: ../train/images\nnc: 2\nnames: ['a', 'b']\n", "is YOLO's list of files (YAML)"),
    "a.csv": (b"filename,width,height,class,xmin,ymin,xmax,ymax\na.png,1,1,a,0,0,1,1\n", "is a table (CSV)"),
    "a.tfrecord": (b"\x0c" + bytes(7) + b"sum1" + b"\nimage/width" + b"sum2", "is a TFRecord"),
    "a.ndjson": (b'{"data_row": {}}\n{"data_row": {}}\n', "is JSON in lines"),
    "a.zip": (b"PK\3\4...", "is an archive; unpack it"),
    "a.json.gz": (b"\x1f\x8b\x08", "is an archive; unpack it"),
    "a.png": (b"\x89PNG\r\n\x1a\n", "is a picture; expected the file of annotations"),
    "cut.json": (json.dumps(CONTENT).encode()[:100], "is no JSON ("),
    "words.txt": (b"person dog cat", "is no JSON ("),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_other_formats(name: str) -> None:
    content, message = VALUES[name]
    with pytest.raises(DatasetError) as error:
        parse_annotations(content, "here.json")
    assert str(error.value).startswith("here.json ") and message in str(error.value)


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_other_formats(name: str, tmp_path: Path) -> None:
    data, message = TEXTS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError) as error:
        read_annotations(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name} {message}")
