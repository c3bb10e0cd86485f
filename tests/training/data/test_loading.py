"""The stream of training images: the same however it is read, and broken inputs named."""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import missing
import numpy as np
import pytest
import torch

from yolact.runtime.errors import DatasetError, ImageError, UsageError, YolactError
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.mask_encoding import encode_rle
from yolact.training.data.datasets import CocoDataset, Sample, SceneDataset, open_dataset
from yolact.training.data.loading import Batch, Stream, load_batches
from yolact.training.models.configs import CONFIGS
from yolact.training.scenes.files import SceneRequest, write_scenes

CONFIG = CONFIGS["yolact_demo"]


def take(count: int, stream: Stream, size: int, **options: Any) -> list[Batch]:
    return list(itertools.islice(load_batches(stream, size, **options), count))


def assert_same(batch: Batch, other: Batch) -> None:
    assert torch.equal(batch.images, other.images)
    for target, same in zip(batch.targets, other.targets, strict=True):
        for name in ("boxes", "class_ids", "masks", "crowd_boxes"):
            assert torch.equal(getattr(target, name), getattr(same, name)), name


@pytest.fixture
def stream() -> Stream:
    return Stream(SceneDataset(7, 0), CONFIG, seed=3, augmentation="full")


def test_what_a_batch_is(stream: Stream) -> None:
    (batch,) = take(1, stream, 3)
    assert batch.images.shape == (3, 320, 320, 3) and batch.images.dtype == torch.float32
    assert len(batch.targets) == 3
    for target in batch.targets:
        count = len(target.boxes)
        assert count > 0 and target.masks.shape == (count, 320, 320) and target.class_ids.shape == (count,)
        assert target.boxes.min() >= 0 and target.boxes.max() <= 1
        assert (target.boxes[:, 2:] > target.boxes[:, :2]).all()


def test_workers_and_a_later_start_change_nothing(stream: Stream) -> None:
    batches = take(6, stream, 3)
    for other in (take(6, stream, 3, workers=2), take(2, stream, 3) + take(4, stream, 3, first_batch=2)):
        for batch, same in zip(batches, other, strict=True):
            assert_same(batch, same)


def test_processes_share_what_one_would_see(stream: Stream) -> None:
    whole = take(3, stream, 4)
    parts = [take(3, stream, 2, rank=rank, world=2) for rank in range(2)]
    for step, batch in enumerate(whole):
        for rank in range(2):
            assert torch.equal(parts[rank][step].images, batch.images[rank::2])


def test_every_image_comes_once_in_each_round_in_another_order() -> None:
    dataset = SceneDataset(7, 0)
    stream = Stream(dataset, CONFIG, seed=0, augmentation="none")
    classes = [sorted(dataset[index].class_ids.tolist()) for index in range(7)]
    seen = [sorted(stream[position][1].class_ids.tolist()) for position in range(21)]  # type: ignore[index]
    for start in (0, 7, 14):
        assert sorted(seen[start : start + 7]) == sorted(classes)
    assert len({tuple(map(tuple, seen[start : start + 7])) for start in (0, 7, 14)}) > 1
    first, second = (next(p for p in range(r, r + 7) if seen[p] == seen[0]) for r in (0, 7))
    augmented = Stream(dataset, CONFIG, seed=0, augmentation="full")
    assert not torch.equal(augmented[first][0], augmented[second][0])  # type: ignore[index]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_scenes(SceneRequest(tmp_path, 4, 0, size=(80, 120)))
    return tmp_path


def edit(files: Path, image: int, **values: Any) -> None:
    content = json.loads((files / "annotations.json").read_text())
    for annotation in content["annotations"]:
        if annotation["image_id"] == image:
            annotation.update(values)
    (files / "annotations.json").write_text(json.dumps(content))


def open_stream(files: Path) -> Stream:
    return Stream(CocoDataset(files / "annotations.json", files / "images"), CONFIG, 0, "full")


def test_images_whose_masks_are_empty_are_passed_over(files: Path) -> None:
    empty = dict(encode_rle(np.zeros((80, 120), np.bool_), Region(0, 0, 80, 120), (80, 120)))
    edit(files, 1, segmentation=empty)
    stream = open_stream(files)
    for position in range(24):
        item = stream[position]
        assert not isinstance(item, YolactError) and item[1].masks.any()
    for image in (2, 3, 4):
        edit(files, image, segmentation=empty)
    with pytest.raises(DatasetError, match="100 images in a row had no object with a mask"):
        take(1, open_stream(files), 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named(files: Path, workers: int) -> None:
    path = files / "images" / "000002.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=re.escape(str(path))) as error:
        take(4, open_stream(files), 2, workers=workers)
    assert "Traceback" not in str(error.value)


def test_an_image_of_another_size_is_named(files: Path) -> None:
    path = files / "images" / "000001.png"
    cv2.imwrite(str(path), np.zeros((80, 121, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"000001\.png has 121x80 pixels, but its annotations say 120x80"):
        take(4, open_stream(files), 2)


def test_a_missing_image_is_named_at_once(files: Path) -> None:
    (files / "images" / "000003.png").unlink()
    with pytest.raises(DatasetError, match=r"000003\.png is missing"):
        open_stream(files)


def test_names_of_2014_are_found_without_their_prefix(files: Path) -> None:
    content = json.loads((files / "annotations.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"COCO_train2014_{image['file_name']}"
    (files / "annotations.json").write_text(json.dumps(content))
    assert len(open_dataset(f"{files / 'annotations.json'},{files / 'images'}")) == 4


def test_another_image_is_not_taken_for_a_missing_one(files: Path) -> None:
    content = json.loads((files / "annotations.json").read_text())
    content["images"][0]["file_name"] = "camera_000001.png"
    (files / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"camera_000001\.png is missing"):
        open_stream(files)


def test_a_dataset_without_objects(files: Path) -> None:
    content = json.loads((files / "annotations.json").read_text())
    content["annotations"] = [{**a, "iscrowd": 1} for a in content["annotations"]]
    (files / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="annotates no object with a mask"):
        open_stream(files)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "scenes",
        "scenes:",
        "scenes:0",
        "scenes:x",
        "scenes:3:y",
        "scenes:99999999999999999999",
        "a.json",
        "a.json,",
        ",b",
    ],
)
def test_specifications_that_are_none(spec: str) -> None:
    with pytest.raises(
        UsageError, match=r"expected (ANNOTATIONS\.json,IMAGE_FOLDER or scenes|at most 10000000 scenes)"
    ):
        open_dataset(spec)


def test_crowds_come_along(shared: Path) -> None:
    stream = Stream(
        CocoDataset(shared / "coco" / "val.json", shared / "coco" / "images"), CONFIGS["yolact_im400"], 0, "none"
    )
    items = [stream[position] for position in range(40)]
    crowds = sum(len(item[1].crowd_boxes) for item in items if not isinstance(item, YolactError))
    assert crowds >= 3


class _TellsNiceness(SceneDataset):
    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return replace(sample, class_ids=np.full_like(sample.class_ids, os.nice(0)))


@pytest.mark.skipif(not hasattr(os, "nice"), reason=missing.LINUX)
def test_processes_that_load_give_way(stream: Stream) -> None:
    """Those that train do not, and images that are prepared without further processes do not slow them down."""
    here = os.nice(0)
    told = Stream(_TellsNiceness(7, 0), CONFIG, seed=3, augmentation="none")
    for workers, expected in ((0, here), (1, min(here + 10, 19))):
        (batch,) = take(1, told, 2, workers=workers)
        assert {id for one in batch.targets for id in one.class_ids.tolist()} == {expected}
    assert os.nice(0) == here
