"""Synthetic scenes: repeatable, exactly annotated, and the same in memory and in files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from yolact.cli.scenes import main
from yolact.runtime.images.image_files import read_image
from yolact.training.data.datasets import CocoDataset, SceneDataset
from yolact.training.models.configs import SCENE_CLASSES
from yolact.training.scenes import shapes
from yolact.training.scenes.scene import Scene
from yolact.training.scenes.shapes import LEAST_AREA, draw_shapes


@pytest.mark.parametrize("size", [(288, 384), (64, 200), (500, 64)])
def test_a_scene_depends_on_nothing_but_its_arguments(size: tuple[int, int]) -> None:
    first, again, other, series = (draw_shapes(*key, size) for key in ((3, 5), (3, 5), (3, 6), (4, 5)))
    assert first.image.shape == (*size, 3) and first.image.dtype == np.uint8
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, other.image) and not np.array_equal(first.image, series.image)


def test_every_pixel_belongs_to_one_shape_at_most_and_every_shape_is_visible() -> None:
    seen = set()
    for index in range(60):
        scene = draw_shapes(0, index)
        assert scene.masks.shape == (len(scene.class_ids), 288, 384) and set(np.unique(scene.masks)) == {0, 1}
        assert scene.masks.sum(axis=0).max() == 1
        assert scene.masks.sum(axis=(1, 2)).min() >= LEAST_AREA
        seen |= {SCENE_CLASSES[class_id] for class_id in scene.class_ids}
        for mask, (x1, y1, x2, y2) in zip(scene.masks, scene.boxes, strict=True):
            rows, columns = np.nonzero(mask)
            assert [x1, y1, x2, y2] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert seen == set(SCENE_CLASSES)


def test_masks_have_the_form_their_class_says() -> None:
    """By shape measures that drawing does not use: filled area over that of hull and of smallest enclosing triangle."""
    solidity: dict[str, list[float]] = {name: [] for name in SCENE_CLASSES}
    triangle: dict[str, list[float]] = {name: [] for name in SCENE_CLASSES}
    for index in range(150):
        scene = draw_shapes(1, index)
        for class_id, mask, box in zip(scene.class_ids, scene.masks, scene.boxes, strict=True):
            whole = box.min() > 0 and box[2] < 384 and box[3] < 288 and mask.sum() > 1500
            (outline, *pieces), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            if whole and not pieces:
                name = SCENE_CLASSES[class_id]
                solidity[name].append(mask.sum() / cv2.contourArea(cv2.convexHull(outline)))
                triangle[name].append(mask.sum() / cv2.minEnclosingTriangle(outline)[0])
    median = {name: float(np.median(values)) for name, values in solidity.items()}
    assert min(len(values) for values in solidity.values()) >= 10
    assert all(median[name] > 0.9 for name in ("disc", "box", "triangle"))
    assert all(median[name] < 0.8 for name in ("ring", "star", "cross"))
    assert np.median(triangle["triangle"]) > 0.85 > 0.7 > np.median(triangle["disc"])


def test_files_hold_the_same_scenes(tmp_path: Path) -> None:
    out = tmp_path / "set"
    arguments = ["--count", "5", "--seed", "2", "--height", "288", "--width", "384", "--output", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "wrote 5 pictures" in result.stdout
    from_files, drawn = CocoDataset(out / "annotations.json", out / "images"), SceneDataset(5, 2)
    assert from_files.class_names == drawn.class_names and from_files.category_ids == drawn.category_ids
    for index in range(5):
        read, made = from_files[index], drawn[index]
        for name in ("image", "boxes", "class_ids", "masks", "crowd_boxes"):
            np.testing.assert_array_equal(getattr(read, name), getattr(made, name), err_msg=name)
    areas = [a["area"] for a in json.loads((out / "annotations.json").read_text())["annotations"]]
    assert areas == [int(mask.sum()) for index in range(5) for mask in drawn[index].masks]


def scenes(*options: str) -> Result:
    return CliRunner().invoke(main, ["--height", "64", "--width", "80", "--output", "set", *options])


def test_scenes_of_an_earlier_run_are_replaced(here: Path) -> None:
    images = here / "set" / "images"
    assert scenes("--count", "5").exit_code == 0
    (images / "notes.txt").touch()
    assert scenes("--count", "2", "--seed", "3").exit_code == 0
    assert sorted(path.name for path in images.iterdir()) == ["000000.png", "000001.png", "notes.txt"]
    assert len(CocoDataset(here / "set" / "annotations.json", images)) == 2
    assert sorted(path.name for path in (here / "set").iterdir()) == ["annotations.json", "images"]


def test_what_an_ended_run_left_is_replaced(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scenes("--count", "4").exit_code == 0

    def draw(seed: int, index: int, size: tuple[int, int]) -> Scene:
        if index == 2:
            raise KeyboardInterrupt
        return draw_shapes(seed, index, size)

    with monkeypatch.context() as patch:
        patch.setattr(shapes, "draw_shapes", draw)
        assert scenes("--count", "4", "--seed", "1").exit_code == 130
    assert not (here / "set" / "annotations.json").exists(), "no index of pictures of another series"
    assert scenes("--count", "1").exit_code == 0
    assert [path.name for path in (here / "set" / "images").iterdir()] == ["000000.png"]
    assert sorted(path.name for path in (here / "set").iterdir()) == ["annotations.json", "images"]


def test_two_runs_in_one_folder_do_not_mix_their_scenes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = []

    def draw(seed: int, index: int, size: tuple[int, int]) -> Scene:
        if seed == 1 and index == 1:
            others.append(scenes("--count", "3", "--seed", "2"))
        return draw_shapes(seed, index, size)

    monkeypatch.setattr(shapes, "draw_shapes", draw)
    assert scenes("--count", "2", "--seed", "1").exit_code == 0
    assert others[0].exit_code == 2 and "another run writes scenes into set; wait for it" in others[0].stderr
    assert sorted(path.name for path in (here / "set").rglob("*.*")) == ["000000.png", "000001.png", "annotations.json"]
    pictures = [read_image(here / "set" / "images" / f"{index:06}.png") for index in range(2)]
    assert all(np.array_equal(picture, draw_shapes(1, i, (64, 80)).image) for i, picture in enumerate(pictures))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("images/000000.png", b"of somebody"),
        ("images/a.JPG", b"of somebody"),
        ("annotations.json", b"{}"),
        ("annotations.json", b"[" * 100_000),
        ("annotations.json", b'{"categories": [{"name": "dog"}], "images": []}'),
    ],
)
def test_the_pictures_of_others_are_left_alone(here: Path, name: str, content: bytes) -> None:
    path = here / "set" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    result = scenes("--count", "1")
    assert result.exit_code == 2 and "set holds pictures or annotations that are no synthetic scenes" in result.stderr
    assert path.read_bytes() == content
    assert [one for one in (here / "set").rglob("*") if one.is_file()] == [path]


@pytest.mark.parametrize("options", [["--count", "0"], ["--height", "10"], ["--seed", "-1"], ["--output", "file"]])
def test_wrong_usage(here: Path, options: list[str]) -> None:
    (here / "file").touch()
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert [path.name for path in here.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made(here: Path) -> None:
    (here / "file").touch()
    result = CliRunner().invoke(main, ["--count", "1", "--output", "file/inside"])
    assert result.exit_code == 1 and "cannot write to file/inside/images: Not a directory" in result.output
