"""Files of other tools and formats, told from COCO's by fields that only they have, so that errors can give advice."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_EXPORT = "; export the annotations in COCO's format there"

_OBJECTS: dict[str, tuple[str, ...]] = {
    "VIA's own format": ("_via_img_metadata", "_via_settings"),
    "LabelMe's own format": ("shapes", "imagePath"),
    "Supervisely's own format": ("objects", "size", "tags"),
    "Datumaro's own format": ("items", "categories"),
    "FiftyOne's own format": ("samples",),
    "FiftyOne's own format of labels": ("classes", "labels"),
    "Cityscapes' own format": ("imgHeight", "imgWidth", "objects"),
    "the format of SA-1B, a file for each image and without categories": ("image", "annotations"),
    "VIA's own format of version 3": ("project", "metadata", "view"),
    "Scalabel's own format": ("frames",),
    "Label Studio's own format": ("data", "annotations"),
    "Labelbox's own format": ("data_row", "projects"),
    "Hasty's own format": ("label_classes", "images"),
    "VoTT's own format": ("asset", "regions"),
    "YouTube-VIS's format, of videos": ("videos", "annotations"),
    "a feature collection of GeoJSON": ("type", "features"),
    "the description of a data set of Hugging Face": ("builder_name", "features"),
}
"""Names of fields of the file, or of each entry of its list, that COCO's format has not together."""

_ENTRIES: dict[str, tuple[str, ...]] = {
    **{name: fields for name, fields in _OBJECTS.items() if "image" not in fields},
    "an old format of Label Studio": ("completions", "data"),
    "an old format of Labelbox": ("Labeled Data", "Label"),
    "Detectron2's own list of images": ("file_name", "annotations"),
    "CreateML's own format": ("image", "annotations"),
    "Scalabel's own format": ("name", "labels"),
    "Label Studio's short format": ("annotation_id", "annotator"),
}

_RESULTS = (
    "is a list of detections, as COCO's server takes; expected annotations in COCO's format, with images and categories"
)


def recognise_values(content: Any) -> str | None:
    """The format of a JSON file that is not COCO's, in words that follow its name; None where it may be COCO's."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        if {"image_id", "category_id"} <= content[0].keys():
            return _RESULTS
        return _among(_ENTRIES, content[0])
    if not isinstance(content, dict):
        return None
    if all(isinstance(content.get(part), list) for part in ("images", "categories", "annotations")):
        return _panoptic(content["annotations"])
    first = next(iter(content.values()), None)
    if isinstance(first, dict) and {"filename", "regions"} <= first.keys():
        return f"is in VIA's own format{_EXPORT}"
    return _among(_OBJECTS, content)


def _among(formats: Mapping[str, tuple[str, ...]], entry: Mapping[str, Any]) -> str | None:
    found = next((name for name, fields in formats.items() if entry.keys() >= {*fields}), None)
    return None if found is None else f"is in {found}{_EXPORT}" if "format" in found else f"is {found}{_EXPORT}"


def _panoptic(annotations: Sequence[Any]) -> str | None:
    first = next((entry for entry in annotations if isinstance(entry, dict)), {})
    if "segments_info" in first and "segmentation" not in first:
        return (
            "is in COCO's panoptic format, whose masks are in pictures; expected the format of instances, which "
            "panopticapi's panoptic2detection_coco_format.py makes of it"
        )
    return None


_NUMBERS = re.compile(rb"\s*\d+(?:[ \t]+[-+.\deE]+){4,}\s*(?:\n|\r|$)")

_ROOTS = {b"annotation": "is in Pascal VOC's XML", b"annotations": "is in CVAT's own XML"}

_TEXTS: tuple[tuple[str, Callable[[bytes], object]], ...] = (
    ("is in YOLO's text format", _NUMBERS.match),
    ("is YOLO's list of files (YAML)", re.compile(rb"(?m)\A(?!\s*[{\[])(?s:.*)^(names|nc|train|val)\s*:").match),
    ("is a table (CSV)", re.compile(rb"[\w \"]+([,;\t][\w \"]*){3,}[\r\n]").match),
    ("is JSON in lines, an object each", re.compile(rb"\s*\{[^\n]*\}\s*\n\s*\{").match),
)


def recognise_bytes(data: bytes) -> str | None:
    """The format of a file that is no JSON, in words that follow its name, None where it is not known."""
    if _is_tfrecord(data):
        return f"is a TFRecord{_EXPORT}"
    if data.startswith((b"PK\3\4", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "is an archive; unpack it and give the annotation file in it"
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        return "is a picture; expected the file of annotations in COCO's format"
    head = data[:10_000].removeprefix(b"\xef\xbb\xbf")
    found = _of_root(head) or next((name for name, matches in _TEXTS if matches(head)), None)
    return None if found is None else f"{found}{_EXPORT}"


def _is_tfrecord(data: bytes) -> bool:
    """Whether it begins with the length of a record that is in it, a checksum, and a protocol buffer."""
    return data[12:13] == b"\n" and 12 + int.from_bytes(data[:8], "little") < len(data)


def _of_root(text: bytes) -> str | None:
    """The format of XML by the name of its root, None where the text is no XML."""
    text = text.lstrip()
    while text.startswith((b"<?", b"<!--")):
        text = text.partition(b"?>" if text.startswith(b"<?") else b"-->")[2].lstrip()
    root = re.match(rb"<!?(\w+)", text)
    return None if root is None else _ROOTS.get(root[1], "is XML or HTML")
