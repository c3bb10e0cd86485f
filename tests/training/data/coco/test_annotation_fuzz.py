"""Mutants of an annotation file: each is refused in a sentence, or read into values of the right types."""

from __future__ import annotations

import copy
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_content import CONTENT
from mutants import mutate
from pycocotools import mask as coco_mask

from yolact.runtime.errors import DatasetError
from yolact.training.data.coco.annotations import Annotations, decode_mask, parse_annotations, read_annotations


def start() -> dict[str, Any]:
    """With run lengths as text, since those have a grammar of their own."""
    content = copy.deepcopy(CONTENT)
    text = coco_mask.encode(np.asfortranarray(np.eye(40, 60, dtype=np.uint8)))["counts"].decode()
    third = {**content["annotations"][1], "id": 3, "segmentation": {"size": [40, 60], "counts": text}, "area": 40}
    content["annotations"].append(third)
    via = {"all_points_x": [10, 30, 30, 10], "all_points_y": [5, 5, 15, 15]}
    as_text = {"segmentation": "[[10, 5, 30, 5, 30, 15]]", "bbox": "10 5 20 10"}
    by_name = {"segmentation": [[via]], "bbox": {"x": 10, "y": 5, "w": 20, "h": 10}}
    content["annotations"] += [
        {**content["annotations"][0], "id": id, **one} for id, one in ((4, as_text), (5, by_name))
    ]
    return content


def check(found: Annotations) -> None:
    assert all(isinstance(name, str) and name.strip() for name in found.class_names)
    assert list(found.category_ids) == sorted({*found.category_ids}) and len(found.class_names) == len(
        found.category_ids
    )
    ids = [annotation.id for image in found.images for annotation in image.annotations]
    assert len({*ids}) == len(ids)
    for image in found.images:
        assert all(type(side) is int and side > 0 for side in image.size) and isinstance(image.file_name, str)
        for annotation in image.annotations:
            numbers = [*annotation.box, annotation.area]
            assert all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
            assert annotation.box[2] > 0 and annotation.box[3] > 0 and annotation.category_id in found.category_ids
            if image.size[0] * image.size[1] < 10**6:
                mask = decode_mask(annotation, image.size)
                assert mask.shape == image.size and {*np.unique(mask)} <= {0, 1}
    json.dumps([annotation.segmentation for image in found.images for annotation in image.annotations])


@pytest.mark.parametrize("seed", range(4))
def test_mutants_of_values(seed: int) -> None:
    rng, read = random.Random(seed), 0
    for _ in range(500):
        content = start()
        for _ in range(rng.choice((1, 1, 2, 5))):
            mutate(content, rng)
        try:
            check(parse_annotations(content, "here"))
            read += 1
        except DatasetError as error:
            assert "here" in str(error) and "Error(" not in str(error) and len(str(error)) < 5000
    assert 20 < read < 480, "both are tried"


def test_mutants_of_bytes(tmp_path: Path) -> None:
    rng, text, path = random.Random(0), json.dumps(start()).encode(), tmp_path / "a.json"
    for _ in range(300):
        data = bytearray(text)
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.choice(
                (b"", bytes([rng.randrange(256)]), b"[", b'"', b"\xed\xa0\x80")
            )
        path.write_bytes(data)
        try:
            check(read_annotations(path))
        except DatasetError as error:
            assert str(path) in str(error)
