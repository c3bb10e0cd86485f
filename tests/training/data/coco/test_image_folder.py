"""Which file is meant by a name of the annotations, and which way up its pixels are."""

from __future__ import annotations

import copy
import json
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from annotation_content import CONTENT
from exif_pictures import ORDERS, WRITERS

from yolact.runtime.errors import DatasetError
from yolact.runtime.images.image_files import read_image
from yolact.training.data.coco.image_headers import Header, read_header
from yolact.training.data.coco.reading_rules import ReadingRules
from yolact.training.data.datasets import CocoDataset
from yolact.training.data.ground_truth import GroundTruth, read_ground_truth

KEEP = ReadingRules(exif="keep")
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def write(folder: Path, names: list[str], **values: Any) -> tuple[Path, Path]:
    """The annotation file and the folder images/ beside it, which stays empty."""
    (folder / "images").mkdir(exist_ok=True)
    content = copy.deepcopy(CONTENT)
    content["images"] = [
        {**CONTENT["images"][0], "id": 7 + n, "file_name": name, **values} for n, name in enumerate(names)
    ]
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json", folder / "images"


def path_of(annotations: Path, images: Path) -> Path:
    truth = read_ground_truth(annotations, images)
    assert truth.paths[0].is_relative_to(images)
    return truth.paths[0]


FOUND: dict[str, tuple[str | dict[str, str], str]] = {
    "as it is": ("a.png", "a.png"),
    "in a folder": ("sub/a.png", "sub/a.png"),
    "Windows' separator": ("sub\\a.png", "sub/a.png"),
    "from the folder's own name": ("images/a.png", "a.png"),
    "from above": ("data/images/sub/a.png", "sub/a.png"),
    "absolute elsewhere": ("/home/someone/images/a.png", "a.png"),
    "absolute on Windows": ("C:\\data\\images\\a.png", "a.png"),
    "that name below": ("images/a.png", "images/a.png"),
    "out and in again": ("../images/a.png", "a.png"),
    "from an address, as LVIS has": (
        {"coco_url": "http://images.cocodataset.org/val2017/000000000007.jpg"},
        "000000000007.jpg",
    ),
    "by another field": ({"filename": "a.png"}, "a.png"),
    "an address with the folder's name": ("s3://bucket/images/a.png", "a.png"),
    "escapes of addresses": ("my%20photo%25.png", "my photo%.png"),
    "a percent sign": ("50%20.png", "50%20.png"),
    "a byte order mark": ("\ufeffa.png\u200b", "a.png"),
    "blanks around it": (" a.png\n", "a.png"),
    "an ending in capital letters": ("a.png", "a.PNG"),
    "an ending in small letters": ("sub/A.JPG", "sub/A.jpg"),
    "of 2014": ("COCO_train2014_000000000007.jpg", "000000000007.jpg"),
    "composed": ("\u00e4.png", "a\u0308.png"),
    "decomposed": ("a\u0308.png", "\u00e4.png"),
}


@pytest.mark.parametrize("name", FOUND)
def test_which_file_is_meant(name: str, tmp_path: Path) -> None:
    named, stored = FOUND[name]
    values = {"file_name": named} if isinstance(named, str) else {"file_name": None, **named}
    annotations, images = write(tmp_path, [""], **values)
    path = images / stored
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), PIXELS)
    found = path_of(annotations, images)
    assert unicodedata.normalize("NFC", str(found)) == unicodedata.normalize("NFC", str(path)) and found.is_file()


def test_relative_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    annotations, images = write(tmp_path, ["images/a.png"])
    cv2.imwrite(str(images / "a.png"), PIXELS)
    monkeypatch.chdir(images)
    assert path_of(annotations, Path()) == Path("a.png")
    assert path_of(annotations, Path("../images")) == Path("../images/a.png")


MISSING = {
    "not there": ("b.png", "b.png is missing, though annotated"),
    "above the folder": ("../other.png", "its name ../other.png leads out of"),
    "an address": ("http://localhost/data/a.png", "its name http://localhost/data/a.png is an address; download"),
    "in a folder like those of COCO": ("train2020/sub.png", "is missing, though annotated"),
    "escapes that lead out": ("%2e%2e/other.png", "is missing, though annotated"),
    "absolute": ("/etc/hostname", "its name /etc/hostname leads out of"),
    "another absolute one": ("OTHER", "leads out of"),
    "the folder": (".", "leads out of"),
    "too long": ("x" * 5000 + ".png", "is missing, though annotated"),
    "half a surrogate pair": ("\ud800.png", "is missing, though annotated"),
    "a folder of that name": ("sub", "is missing, though annotated"),
}


@pytest.mark.parametrize("name", MISSING)
def test_names_that_mean_no_file(name: str, tmp_path: Path) -> None:
    named, message = MISSING[name]
    cv2.imwrite(str(tmp_path / "other.png"), PIXELS)
    annotations, images = write(tmp_path, [str(tmp_path / "other.png") if named == "OTHER" else named])
    (images / "sub").mkdir()
    for read in (read_ground_truth, CocoDataset):
        with pytest.raises(DatasetError, match=r"a\.json: image 7: ") as error:
            read(annotations, images)
        assert message in str(error.value)


def test_no_folder_is_told_at_once(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, ["a.png"], height=None)
    for folder in (tmp_path / "gone", annotations):
        for read in (read_ground_truth, CocoDataset):
            with pytest.raises(DatasetError, match=f"{folder} is no folder; expected the folder of the annotated"):
                read(annotations, folder)
    assert not list(images.iterdir())


def test_all_missing_images_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    annotations, images = write(tmp_path, [f"{number}.png" for number in range(12)])
    with pytest.raises(
        DatasetError,
        match=r"has 12 faults: \(1\) image 7: .*0\.png is missing.*; 2 annotations are on it; .* all of them are",
    ):
        read_ground_truth(annotations, images)


def test_faults_of_the_file_and_of_its_images_are_told_together(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    content = json.loads(annotations.read_text())
    content["annotations"] = [{**CONTENT["annotations"][0], "id": id, "image_id": 7, "category_id": 4} for id in (1, 2)]
    content["annotations"] += [{**CONTENT["annotations"][0], "id": 3, "image_id": 8}]
    annotations.write_text(json.dumps(content))
    cv2.imwrite(str(images / "d.png"), PIXELS)
    told = (
        r"a\.json has {}: \(1\) 2 annotations have category 4, .* is annotation 1; \(2\) image 7: .*a\.png is missing.*"
    )
    with pytest.raises(
        DatasetError, match=told.format("4 faults") + r"2 annotations are on it; \(3\) image 8: .*b\.png"
    ) as error:
        CocoDataset(annotations, images)
    assert "c.png" not in str(error.value), "nothing is annotated there, so it is not needed for training"
    with pytest.raises(DatasetError, match=told.format("3 faults")):
        read_ground_truth(annotations, images, limit=1)


def test_a_wrong_size_is_told_once(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, ["a.png", "b.png"], height=20, width=30)
    content = json.loads(annotations.read_text())
    content["annotations"] = [
        {**CONTENT["annotations"][0], "id": id, "bbox": [29, 5, 20, 10], "image_id": 7 + id % 2} for id in range(20)
    ]
    annotations.write_text(json.dumps(content))
    cv2.imwrite(str(images / "a.png"), PIXELS)
    cv2.imwrite(str(images / "b.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(DatasetError) as error:
        CocoDataset(annotations, images)
    assert [line.removeprefix(str(images)) for line in error.value.lines[1:3]] == [
        "   1. 10 annotations on image 8 do not fit its size: the first is annotation 1, which has a box from 29, 5 to "
        "49, 15, which does not lie in the image of 30x20 pixels; annotations and images differ",
        f"   2. image 7: {images / 'a.png'} has 60x40 pixels, but its annotations say 30x20; they belong to another "
        "version of it; 10 annotations are on it",
    ]


SIZES: dict[str, dict[str, Any]] = {
    "null": {"height": None, "width": None},
    "zero": {"height": 0, "width": "0"},
    "one": {"height": 60, "width": ""},
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_sizes_that_only_the_images_tell(name: str, suffix: str, tmp_path: Path) -> None:
    annotations, images = write(tmp_path, [f"a{suffix}"], **SIZES[name])
    content = json.loads(annotations.read_text())
    content["annotations"][1:] = []
    annotations.write_text(json.dumps(content))
    with pytest.raises(
        DatasetError, match=rf"image 7 .*a\{suffix} is missing, though annotated.*; 1 annotation is on it"
    ):
        read_ground_truth(annotations, images)
    (images / f"a{suffix}").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=rf"image 7 .*a\{suffix}"):
        read_ground_truth(annotations, images)
    cv2.imwrite(str(images / f"a{suffix}"), PIXELS.swapaxes(0, 1))
    assert read_ground_truth(annotations, images).images[0].size == (60, 40)
    if suffix == ".jpg":
        (images / "a.jpg").write_bytes(WRITERS[".jpg"](PIXELS, 6))
        assert CocoDataset(annotations, images)[0].image.shape == (60, 40, 3)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_the_orientation_is_what_opencv_applies(suffix: str, order: Any, tmp_path: Path) -> None:
    for orientation in range(10):
        path = tmp_path / f"{orientation}{suffix}"
        path.write_bytes(WRITERS[suffix](PIXELS, orientation, order))
        known = orientation if 1 <= orientation <= 8 else 1
        assert read_header(path) == ((40, 60), known)
        stored = read_image(path, upright=False)
        turned = {1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1]}
        turned |= {n + 4: turned[m].swapaxes(0, 1) for n, m in ((1, 1), (2, 4), (3, 3), (4, 2))}
        np.testing.assert_array_equal(read_image(path), turned[known])


def test_files_without_an_orientation(tmp_path: Path) -> None:
    whole = WRITERS[".jpg"](PIXELS, 6)
    cut = [whole[:length] for length in (0, 1, 2, 3, 20, 25, 40, 50)]
    endless = whole.replace(b"\xff\xe1", b"\xff\xe1\0\0", 1)
    for number, data in enumerate([*cut, endless, b"text", b"RIFF1234WEBP", b"\x89PNG\r\n\x1a\n"]):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert read_header(path).orientation == 1
    assert read_header(tmp_path / "gone") == read_header(tmp_path) == Header()


ENCODERS = {
    "JPEG": (".jpg", []),
    "progressive JPEG": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "PNG": (".png", []),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
    "WebP without loss": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [(40, 60), (1, 300), (517, 33)])
def test_sizes_of_files(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    suffix, parameters = ENCODERS[name]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(cv2.imencode(suffix, np.zeros((*size, 3), np.uint8), parameters)[1].tobytes())
    assert read_header(path) == (size, 1)


def test_all_images_of_another_size_are_told_at_once(tmp_path: Path) -> None:
    annotations, images = write(tmp_path, ["a.png", "b.jpg", "c.bmp", "d.png"])
    for name, size in (("a.png", (41, 60)), ("b.jpg", (60, 40)), ("c.bmp", (1, 1)), ("d.png", (40, 60))):
        cv2.imwrite(str(images / name), np.zeros((*size, 3), np.uint8))
    with pytest.raises(
        DatasetError, match=r"has 3 faults: \(1\) image 7: .*a\.png has 60x41 .*\(2\) image 8: .*has 40x60.* has 1x1 "
    ):
        read_ground_truth(annotations, images)
    (images / "a.png").write_bytes((images / "a.png").read_bytes()[:60])  # broken, which is told as it is read
    for name in ("b.jpg", "c.bmp"):
        (images / name).write_bytes((images / "d.png").read_bytes())
    truth = read_ground_truth(annotations, images)
    cv2.imwrite(str(images / "c.bmp"), np.zeros((1, 1, 3), np.uint8))  # replaced meanwhile
    with pytest.raises(DatasetError, match=r"c\.bmp has 1x1 pixels, but its annotations say 60x40"):
        truth.read(2)


def oriented(folder: Path, orientation: int, size: tuple[int, int], annotated: tuple[int, int]) -> tuple[Path, Path]:
    """Files whose picture is stored in one size (height, width) and annotated in another."""
    annotations, images = write(folder, ["a.jpg"], height=annotated[0], width=annotated[1])
    content = json.loads(annotations.read_text())
    content["annotations"] = content["annotations"][:1]
    annotations.write_text(json.dumps(content))
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    (images / "a.jpg").write_bytes(WRITERS[".jpg"](pixels, orientation))
    return annotations, images


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_swapped_sizes_name_exif(orientation: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "stored").mkdir()
    annotations, images = oriented(tmp_path / "stored", orientation, (40, 60), (40, 60))
    message = (
        r"a\.jpg has 40x60 pixels after its EXIF orientation is applied, but its annotations say 60x40; read it with"
    )
    with pytest.raises(DatasetError, match=f"{message} --exif keep"):
        read_ground_truth(annotations, images).read(0)
    with pytest.raises(DatasetError, match=message):
        CocoDataset(annotations, images)[0]
    for image in (
        read_ground_truth(annotations, images, rules=KEEP).read(0),
        CocoDataset(annotations, images, KEEP)[0].image,
    ):
        np.testing.assert_array_equal(image, read_image(images / "a.jpg", upright=False))
    annotations, images = oriented(tmp_path, orientation, (40, 60), (60, 40))
    assert read_ground_truth(annotations, images).read(0).shape == (60, 40, 3)
    with pytest.raises(DatasetError, match=r"has 60x40 pixels before its EXIF .* say 40x60; read it with --exif apply"):
        read_ground_truth(annotations, images, rules=KEEP).read(0)
    assert not caplog.text, "where the sizes tell, nothing is doubtful"


@pytest.mark.parametrize(("orientation", "size"), [(2, (40, 60)), (3, (40, 60)), (4, (40, 60)), (6, (60, 60))])
def test_orientations_that_sizes_cannot_tell(
    orientation: int, size: tuple[int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotations, images = oriented(tmp_path, orientation, size, size)
    truths: list[GroundTruth] = [read_ground_truth(annotations, images, rules=KEEP)]
    assert not caplog.text
    truths.append(read_ground_truth(annotations, images))
    told = (
        f"a.json: 1 image is turned or mirrored as the EXIF orientation says, such as {images / 'a.jpg'} (orientation"
    )
    assert f"{told} {orientation}); give --exif keep if" in caplog.text
    kept, applied = (truth.read(0) for truth in truths)
    assert kept.shape == applied.shape and (kept != applied).any()


def test_pictures_that_are_upright_are_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_ground_truth(*oriented(tmp_path, 1, (40, 60), (40, 60)))
    assert not caplog.text and [path.name for path in (tmp_path / "images").iterdir()] == ["a.jpg"]
