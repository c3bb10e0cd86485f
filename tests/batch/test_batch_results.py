"""The rows of a job beside what `yolact-infer` writes of the same images, and every kind of input."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_jobs import Run, rows_of, sha256, write_pictures
from scripted_engine import infer, read_json

from yolact.batch.rows import result_schema

COLUMNS = {
    "source": "string",
    "image_id": "int64",
    "image_sha256": "string",
    "engine_sha256": "string",
    "width": "int32",
    "height": "int32",
    "error": "string",
    "rank": "int32",
    "class_id": "int32",
    "class_name": "string",
    "score": "float",
    "class_score": "float",
    "x1": "float",
    "y1": "float",
    "x2": "float",
    "y2": "float",
}


def found_by_infer(engine: Path, photos: list[Path], folder: Path, masks: str) -> list[dict[str, Any]]:
    words = ["--score-threshold", "0", "--top-k", "100", "--masks", masks, "--output", str(folder / "drawn")]
    done = infer(engine, *photos, *words, "--json", folder / "found.json")
    assert done.exit_code == 0
    return read_json(folder / "found.json")


@pytest.mark.parametrize("masks", ["rle", "polygon", "none"])
def test_rows_are_what_infer_finds(run: Run, engine: Path, tmp_path: Path, masks: str) -> None:
    photos = write_pictures(tmp_path / "photos", 11)
    result = run(masks=masks)
    rows = rows_of(tmp_path / "out")
    expected = found_by_infer(engine, photos, tmp_path, masks)
    assert (result.images, result.unreadable, result.failures) == (11, 0, ())
    assert result.detections == sum(len(image["detections"]) for image in expected) == 8 * 4
    for image in expected:
        own = [row for row in rows if row["source"] == image["source"]]
        assert {(row["width"], row["height"]) for row in own} == {(image["width"], image["height"])}
        assert {row["image_sha256"] for row in own} == {sha256(Path(image["source"]))}
        assert {row["engine_sha256"] for row in own} == {sha256(engine)}
        found = [row for row in own if row["rank"] is not None]
        assert [row["rank"] for row in found] == list(range(len(image["detections"])))
        assert len(own) == max(1, len(found))
        for row, detection in zip(found, image["detections"], strict=True):
            assert (row["class_id"], row["class_name"]) == (detection["class_id"], detection["class_name"])
            assert [row[side] for side in ("x1", "y1", "x2", "y2")] == pytest.approx(detection["box"], abs=0.006)
            assert row["score"] == row["class_score"] == pytest.approx(detection["score"], abs=1e-5)
            mask = detection.get("mask")
            assert row.get("mask") == (mask["counts"] if masks == "rle" else mask)


@pytest.mark.parametrize("masks", ["rle", "polygon", "none"])
def test_columns_and_types(masks: Any) -> None:
    mask = {"rle": {"mask": "string"}, "polygon": {"mask": "list<item: list<item: float>>"}, "none": {}}[masks]
    assert {field.name: str(field.type) for field in result_schema(masks)} == COLUMNS | mask


def test_a_threshold(run: Run, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 3)
    run(score_threshold=0.75)
    scores = Counter(row["score"] for row in rows_of(tmp_path / "out"))
    assert {None if score is None else round(score, 2): n for score, n in scores.items()} == {0.9: 2, 0.8: 2, None: 1}


def test_a_bad_image_is_a_row(run: Run, tmp_path: Path) -> None:
    (good, *_) = write_pictures(tmp_path / "photos", 6)
    whole = good.read_bytes()
    bad = {"empty.jpg": b"", "text.png": b"no image", "half.png": whole[:-9], "later.png": whole}
    for name, data in bad.items():
        (tmp_path / "photos" / name).write_bytes(data)
    (tmp_path / "photos" / "later.png").chmod(0)
    result = run()
    errors = {Path(row["source"]).name: row for row in rows_of(tmp_path / "out") if row["error"] is not None}
    readable_by_root = {"later.png"} - errors.keys()
    assert {*errors, *readable_by_root} == set(bad) and result.unreadable == len(errors)
    assert result.images == 10 and result.failures == ()
    assert "truncated" in errors["half.png"]["error"] and errors["half.png"]["image_sha256"] is not None
    assert all(row["rank"] is row["width"] is row["mask"] is None for row in errors.values())


def write_parquet(path: Path, photos: list[Path], rows_in_group: int, nested: bool = False) -> None:
    data: list[bytes | None] = [photo.read_bytes() for photo in photos]
    column: Any = [None if one is None else {"bytes": one, "path": "x"} for one in data] if nested else data
    table = pa.table({"image": column, "label": pa.array(range(len(data)))})
    pq.write_table(table, path, row_group_size=rows_in_group)


@pytest.mark.parametrize("nested", [False, True])
def test_parquet_rows(run: Run, tmp_path: Path, nested: bool) -> None:
    photos = write_pictures(tmp_path / "photos", 13)
    run(output=str(tmp_path / "of_files"))
    (tmp_path / "tables").mkdir()
    write_parquet(tmp_path / "tables" / "a.parquet", photos[:9], 2, nested)
    write_parquet(tmp_path / "tables" / "b.parquet", photos[9:], 100, nested)
    result = run(input=str(tmp_path / "tables"))
    assert result.images == 13
    names = [f"{tmp_path}/tables/a.parquet#{row}" for row in range(9)]
    names += [f"{tmp_path}/tables/b.parquet#{row}" for row in range(4)]
    renamed = {str(photo): name for photo, name in zip(photos, names, strict=True)}
    expected = [{**row, "source": renamed[row["source"]]} for row in rows_of(tmp_path / "of_files")]
    assert sorted(map(str, rows_of(tmp_path / "out"))) == sorted(map(str, expected))


def test_large_row_groups_are_read_in_pieces(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolact.batch.parquet_images.MOST_ROWS", 3)
    photos = write_pictures(tmp_path / "photos", 8)
    write_parquet(tmp_path / "a.parquet", photos, 5)
    run(input=str(tmp_path / "a.parquet"), images_per_part=3)
    rows = {row["source"].rpartition("#")[2]: row["image_sha256"] for row in rows_of(tmp_path / "out")}
    assert rows == {str(index): sha256(photo) for index, photo in enumerate(photos)}
    assert len(list((tmp_path / "out" / "detections").iterdir())) == 2  # rows 0-2, and 3-4 with 5-7


def test_null_in_a_parquet_file(run: Run, tmp_path: Path) -> None:
    (photo,) = write_pictures(tmp_path / "photos", 1, first=1)
    pq.write_table(pa.table({"bytes": [photo.read_bytes(), None]}), tmp_path / "a.parquet")
    result = run(input=str(tmp_path / "a.parquet"))
    assert (result.images, result.unreadable, result.detections) == (2, 1, 4)
    (error,) = [row["error"] for row in rows_of(tmp_path / "out") if row["error"]]
    assert error == f"{tmp_path}/a.parquet#1: expected the bytes of an image, got null"


def test_ids_of_an_annotation_file(run: Run, tmp_path: Path) -> None:
    write_pictures(tmp_path / "val", 5)
    images = [{"id": 70 - i, "file_name": f"{i:04}.png", "width": 1, "height": 1} for i in (4, 0, 2)]
    images.append({"id": 99, "file_name": "missing.png", "width": 1, "height": 1})
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "categories": [], "annotations": []}))
    result = run(input=str(tmp_path / "a.json"), images=str(tmp_path / "val"))
    assert (result.images, result.unreadable) == (4, 1)
    rows = rows_of(tmp_path / "out")
    ids = {row["image_id"]: Path(row["source"]).name for row in rows}
    assert ids == {66: "0004.png", 70: "0000.png", 68: "0002.png", 99: "missing.png"}
    (error,) = [row["error"] for row in rows if row["error"]]
    assert error == f"{tmp_path}/val/missing.png: there is no such file"


def test_the_manifest(run: Run, engine: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 10)
    run()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["complete"] is True and manifest["engine_sha256"] == sha256(engine)
    assert (manifest["images"], manifest["unreadable"], manifest["detections"]) == (10, 0, 32)
    for part in manifest["parts"]:
        table = pq.read_table(tmp_path / "out" / part["file"])
        assert part["images"] == len(set(table["source"].to_pylist()))
        assert part["detections"] == sum(rank is not None for rank in table["rank"].to_pylist())
    assert [part["images"] for part in manifest["parts"]] == [4, 4, 2]
