"""What an input means in each file system, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_jobs import Run, rows_of, write_pictures
from fsspec.implementations.local import LocalFileSystem

from yolact.batch.listing import list_images
from yolact.runtime.errors import DatasetError, ImageError, UsageError, YolactError
from yolact.runtime.sources import expand_source


class Elsewhere(LocalFileSystem):  # type: ignore[misc]
    """The files of this machine as a file system that pyarrow does not know."""

    protocol = "elsewhere"


fsspec.register_implementation("elsewhere", Elsewhere)


def listed(uri: str, **options: Any) -> list[str]:
    paths: list[str] = list_images(uri, **options).entries["path"].to_pylist()
    return paths


@pytest.fixture
def tree(here: Path) -> Path:
    write_pictures(here / "a b", 3)
    write_pictures(here / "a b" / "below", 2, first=7)
    write_pictures(here / "a b" / ".hidden", 1)
    (here / "a b" / ".0000.png").write_bytes(b"")
    (here / "a b" / "notes.txt").write_bytes(b"")
    (here / "a b" / "film.mp4").write_bytes(b"")
    (here / "a b" / "folder.png").mkdir()
    (here / "a b" / "gone.png").symlink_to("nowhere")
    (here / "a b" / "linked.JPG").symlink_to("0000.png")
    return here / "a b"


PATTERNS = ["a b", "a b/", "a b/*.png", "a b/**/*.png", "a */000[01].png", "a b/?[!x]0*.png", "a b/0001.png", "*/*.png"]


@pytest.mark.parametrize("way", ["{}", "{here}/{}", "file://{here}/{}", "elsewhere://{here}/{}"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_path_means_what_it_means_to_infer(tree: Path, here: Path, pattern: str, way: str) -> None:
    expected = [str(Path(str(source.location)).absolute()) for source in expand_source(pattern)]
    left_out = ("film.mp4", "linked.JPG") if way.startswith("elsewhere") else ("film.mp4",)  # fsspec knows no links
    assert listed(way.format(pattern, here=here)) == [path for path in expected if not path.endswith(left_out)]


def test_sizes_and_times(tree: Path) -> None:
    entries = list_images("a b/*.png").entries
    stats = [Path(path).stat() for path in entries["path"].to_pylist()]
    assert entries["size"].to_pylist() == [stat.st_size for stat in stats]
    assert entries["mtime"].to_pylist() == [stat.st_mtime_ns for stat in stats]


def test_a_job_by_a_pattern(run: Run, here: Path) -> None:
    write_pictures(here / "photos", 3)
    for uri in (f"elsewhere://{here}/photos/000[01].png", "photos/000[01].png"):
        assert run(input=uri, output=f"out{len(uri)}").images == 2
        assert run(input=uri, output=f"out{len(uri)}").done_before == 2


@pytest.mark.parametrize("scheme", ["file", "elsewhere"])
def test_a_job_by_uris(run: Run, tmp_path: Path, scheme: str) -> None:
    photos = write_pictures(tmp_path / "photos", 9)
    bad = tmp_path / "photos" / "bad.png"
    bad.write_bytes(b"none")
    address = f"{scheme}://{tmp_path}"
    result = run(input=f"{address}/photos", output=f"{address}/out")
    assert (result.images, result.unreadable) == (10, 1)
    prefix = "" if scheme == "file" else "elsewhere://"
    assert {row["source"] for row in rows_of(tmp_path / "out")} == {f"{prefix}{path}" for path in (*photos, bad)}
    assert run(input=f"{address}/photos", output=f"{address}/out").done_before == 10


def test_a_server_that_is_silent_at_times(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not lie in an image is no error of it: it is tried again, then its part is not done."""
    from yolact.batch.places import Place

    write_pictures(tmp_path / "photos", 5)
    read, failures = Place.read, {"0001.png": 2, "0004.png": 3}

    def silent(place: Place) -> bytes:
        name = place.path.rpartition("/")[2]
        failures[name] = failures.get(name, 0) - 1
        if failures[name] >= 0:
            raise OSError("the connection was reset")
        return read(place)

    monkeypatch.setattr(Place, "read", silent)
    monkeypatch.setattr("yolact.batch.worker._SECONDS_BETWEEN", 0)
    result = run(input=f"elsewhere://{tmp_path}/photos")
    assert (result.images, result.unreadable) == (4, 0)
    (failure,) = result.failures
    assert failure == f"1 image from {tmp_path}/photos/0004.png on: the connection was reset"


def annotated(images: Any) -> str:
    Path("a.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return "a.json"


def image(id: Any = 1, name: Any = "0000.png") -> dict[str, Any]:
    return {"id": id, "file_name": name, "width": 1, "height": 1}


def table(**columns: Any) -> str:
    pq.write_table(pa.table(columns), "t.parquet")
    return "t.parquet"


REFUSED: dict[str, tuple[Any, dict[str, str], type[YolactError], str]] = {
    "nothing": ("", {}, ImageError, "there is no such file or folder"),
    "missing": ("nowhere", {}, ImageError, "there is no such file or folder"),
    "a pattern without a match": ("a b/*.bmp", {}, ImageError, "no image or Parquet file matches"),
    "a pattern in a folder that is missing": ("x/*.png", {}, ImageError, "no image or Parquet file matches"),
    "a folder without images": ("a b/folder.png", {}, ImageError, "the folder holds no image"),
    "a video": ("a b/film.mp4", {}, ImageError, "expected images, got a video; yolact-infer takes videos"),
    "a scheme of nobody": ("nobody://a/b", {}, UsageError, "expected a path or the URI of a file system"),
    "memory of one process": ("memory://a", {}, UsageError, "exists in one process only"),
    "a column of images": ("a b", {"column": "x"}, UsageError, "--column is for Parquet files"),
    "a column of annotations": (lambda: annotated([image()]), {"column": "x"}, UsageError, "--column is for"),
    "--images with a folder": ("a b", {"images": "a b"}, UsageError, "--images is for an annotation file"),
    "annotations that are missing": ("b.json", {}, DatasetError, "expected annotations in COCO's format"),
    "annotations without images": (lambda: annotated([]), {}, DatasetError, "has no list of images"),
    "annotations of images elsewhere": (lambda: annotated([image()]), {}, ImageError, "give their folder with"),
    "a folder that is missing": (lambda: annotated([image()]), {"images": "x"}, ImageError, "there is no such folder"),
    "no name": (lambda: annotated([image(name=3)]), {"images": "a b"}, DatasetError, "has 3 as file_name"),
    "no id": (lambda: annotated([image(id="x")]), {"images": "a b"}, DatasetError, "id"),
    "a name outside": (lambda: annotated([image(name="../x")]), {"images": "a b"}, DatasetError, "in the folder"),
    "an absolute name": (lambda: annotated([image(name="/x")]), {"images": "a b"}, DatasetError, "in the folder"),
    "a column that is missing": (lambda: table(a=[b"x"]), {"column": "b"}, DatasetError, "of bytes called b; its col"),
    "no bytes": (
        lambda: table(a=["x"], b=[1]),
        {},
        DatasetError,
        "has no column of bytes; its columns are a: string, b",
    ),
    "bytes twice": (lambda: table(a=[b"x"], b=[b"x"]), {}, UsageError, r"several columns of bytes \(a, b\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tree: Path, name: str) -> None:
    uri, options, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words) as error:
        list_images(uri() if callable(uri) else uri, **options)
    assert type(error.value) is kind and "\n" not in str(error.value)


def test_images_beside_parquet_files(tree: Path) -> None:
    Path(table(a=[b"x"])).rename(tree / "t.parquet")
    with pytest.raises(UsageError, match="holds images and Parquet files"):
        list_images("a b")
    assert listed("a b/*.parquet") == [str(tree / "t.parquet")]


def test_a_damaged_parquet_file(here: Path) -> None:
    Path("t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match=r"t.parquet: .*; expected a Parquet file"):
        list_images("t.parquet")


def test_the_likely_one_of_several_columns(here: Path) -> None:
    assert list_images(table(mask=[b"x"], image=[b"x"])).column == "image"
    assert list_images(table(mask=[b"x"], image=[b"x"]), column="mask").column == "mask"


def test_a_name_that_is_no_utf8(here: Path) -> None:
    import os

    (here / "p").mkdir()
    (here / "p" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    with pytest.raises(YolactError, match="is no UTF-8, which Parquet files need; rename the file"):
        list_images("p")


def test_passwords_are_not_shown() -> None:
    with pytest.raises(YolactError) as error:
        list_images("nobody://user:secret@host/photos")
    assert "secret" not in str(error.value) and "host" in str(error.value)
