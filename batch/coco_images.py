"""The images that an annotation file in COCO's format lists; the annotations are not read."""

from __future__ import annotations

from collections import Counter

from yolact.batch.places import Place
from yolact.runtime.errors import DatasetError
from yolact.runtime.json_text import parse_json
from yolact.runtime.wording import one_line
from yolact.training.data.coco.faults import Faults
from yolact.training.data.coco.image_entries import ImageEntries
from yolact.training.data.coco.other_formats import recognise_values


def read_image_names(file: Place) -> dict[int, str]:
    """Names of image files by the id of the image, in the order of the annotation file.

    Raises DatasetError where the file cannot be read or has no images, or an entry is faulty or leaves the folder.
    """
    try:
        content = parse_json(file.read())
    except OSError as error:
        raise DatasetError(f"{file.name}: {one_line(error)}; expected annotations in COCO's format") from None
    except ValueError as error:
        raise DatasetError(f"{file.name} is no JSON ({one_line(error)}); expected one in COCO's format") from None
    if (told := recognise_values(content)) is not None:
        raise DatasetError(f"{file.name} {told}")
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise DatasetError(f"{file.name} has no list of images; expected annotations in COCO's format")
    faults = Faults(file.name)
    names = ImageEntries(images, faults, Counter(), None).names
    for id, name in names.items():
        if name.startswith("/") or ".." in name.split("/") or "://" in name:
            faults.add(f"has {name!r} as file_name of image {id}; expected a file in the folder of the images")
    faults.check()
    return names
