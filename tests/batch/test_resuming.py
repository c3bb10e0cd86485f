"""Runs that were ended, however that was: what is done stays, the rest is done once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_jobs import Run, rows_of, run_here, write_pictures
from scripted_engine import write_engine

from yolact.batch import job
from yolact.batch.cluster import Share
from yolact.batch.places import Place
from yolact.batch.worker import Outcome, PartWorker, WorkerSettings
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.file_lock import FileLock


class Killed(BaseException):
    """Ends a run as nothing catches it."""


def parts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "detections").iterdir()}


def expected_rows(run: Run, tmp_path: Path) -> Counter[str]:
    run(output=str(tmp_path / "whole"))
    return Counter(map(str, rows_of(tmp_path / "whole")))


@pytest.mark.parametrize("parts_before", range(4))
def test_a_run_that_was_killed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts_before: int) -> None:
    write_pictures(tmp_path / "photos", 14)
    expected = expected_rows(run, tmp_path)

    def killed(parts: Sequence[int], settings: WorkerSettings, share: Share) -> Iterator[Outcome]:
        for done, outcome in enumerate(run_here(parts, settings, share)):
            if done == parts_before:
                raise Killed
            yield outcome

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(job, "run_parts", killed)
        run()
    before = parts_of(tmp_path / "out")  # a worker may have written one more than the driver knows of
    assert len(before) == parts_before + 1
    notes: list[str] = []
    result = run(notes)
    assert Counter(map(str, rows_of(tmp_path / "out"))) == expected
    assert result.images == 14 and result.done_before == sum(2 if "0003" in name else 4 for name in before)
    assert before.items() <= parts_of(tmp_path / "out").items() and not any("warning" in note for note in notes)
    assert run(notes).done_before == 14


def test_a_part_that_was_cut_anywhere(run: Run, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 6)
    run()
    part = tmp_path / "out" / "detections" / "part-000000.parquet"
    whole = part.read_bytes()
    kept = (tmp_path / "out" / "detections" / "part-000001.parquet").stat().st_mtime_ns
    for length in (0, 3, 4, 11, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        part.write_bytes(whole[:length])
        notes: list[str] = []
        result = run(notes)
        (warning,) = [note for note in notes if note.startswith("warning")]
        assert "detections/part-000000.parquet is damaged or was not written to its end" in warning
        assert "its 4 images are done again" in warning and result.done_before == 2
        assert part.read_bytes() == whole
    part.write_bytes(whole[:-300] + bytes(300))  # as a power failure leaves it
    assert run().done_before == 2 and part.read_bytes() == whole
    assert (tmp_path / "out" / "detections" / "part-000001.parquet").stat().st_mtime_ns == kept


def test_a_part_under_another_name(run: Run, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 8)
    run()
    expected = Counter(map(str, rows_of(tmp_path / "out")))
    folder = tmp_path / "out" / "detections"
    (folder / "part-000001.parquet").write_bytes((folder / "part-000000.parquet").read_bytes())
    notes: list[str] = []
    assert run(notes).done_before == 4 and Counter(map(str, rows_of(tmp_path / "out"))) == expected
    assert "warning: detections/part-000001.parquet holds part 0; its 4 images are done again" in notes


def test_what_killed_workers_leave(run: Run, tmp_path: Path) -> None:
    """A partial file that nobody holds a lock on; readers of Parquet pass over hidden files."""
    write_pictures(tmp_path / "photos", 5)
    run()
    left = tmp_path / "out" / "detections" / ".partial-0123456789abcdef.parquet"
    left.write_bytes(b"PAR1")
    (tmp_path / "out" / "detections" / "part-000000.parquet").unlink()
    assert run().images == 5 and len(rows_of(tmp_path / "out")) == 17
    assert list((tmp_path / "out" / ".begun").iterdir()) == [], "no attempt at a part stays counted once it has ended"


@pytest.mark.parametrize("known", [3, 6])
def test_new_images_are_added(run: Run, tmp_path: Path, known: int) -> None:
    """To one part that has room left, and to several."""
    write_pictures(tmp_path / "photos", known, first=10)
    run()
    before = parts_of(tmp_path / "out")
    write_pictures(tmp_path / "photos", 3)  # they come first by name
    result = run()
    assert (result.images, result.done_before) == (known + 3, known)
    assert before.items() <= parts_of(tmp_path / "out").items()
    assert Counter(map(str, rows_of(tmp_path / "out"))) == expected_rows(run, tmp_path)


def test_a_changed_image_is_done_again(run: Run, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 9)
    run()
    photos[1].write_bytes(photos[3].read_bytes())
    os.utime(photos[1], ns=(1, 1))
    notes: list[str] = []
    assert run(notes).done_before == 5
    assert "warning: images of detections/part-000000.parquet have changed since; its 4 images are done again" in notes
    assert Counter(map(str, rows_of(tmp_path / "out"))) == expected_rows(run, tmp_path)


def test_an_image_that_is_gone_keeps_its_rows(run: Run, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 6)
    run()
    expected = Counter(map(str, rows_of(tmp_path / "out")))
    photos[0].unlink()
    assert run().done_before == 6 and Counter(map(str, rows_of(tmp_path / "out"))) == expected


def test_a_failure_ends_no_other_part(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write_pictures(tmp_path / "photos", 14)

    def trouble(parts: Sequence[int], settings: WorkerSettings, share: Share) -> Iterator[Outcome]:
        worker = PartWorker(settings)
        for number in parts:
            if number == 3:  # as workers leave it that were killed three times
                (tmp_path / "out" / ".begun" / "3").write_text("3")
            yield Outcome(number, failure="the server is silent") if number == 1 else worker.do(number)

    with monkeypatch.context() as patch:
        patch.setattr(job, "run_parts", trouble)
        result = run()
    assert result.images == 8 and result.failures == (
        f"4 images from {photos[4]} on: the server is silent",
        f"2 images from {photos[12]} on: its worker ended 3 times; one of its images may need more memory than the "
        "machine has",
    )
    assert '"complete": false' in (tmp_path / "out" / "manifest.json").read_text()
    assert run().done_before == 8 and Counter(map(str, rows_of(tmp_path / "out"))) == expected_rows(run, tmp_path)


def test_a_full_disk(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "photos", 5)

    write = Place.write

    def full(place: Place, data: bytes) -> None:
        if kind in place.path:
            raise OSError(28, "No space left on device")
        write(place, data)

    for kind in ("/detections/part", "/.begun/", "manifest", "plan"):
        with monkeypatch.context() as patch:
            patch.setattr(Place, "write", full)
            with pytest.raises(YolactError, match=rf"^cannot write .*{kind}.*No space left on device"):
                run(output=str(tmp_path / "out2") if kind == "manifest" else str(tmp_path / "out"))
    assert run().images == 5


REFUSED = {
    "another engine": ({"engine": "other.onnx"}, UsageError, "is another engine"),
    "another engine of the same name": ({"engine": "elsewhere/scripted.onnx"}, UsageError, "is another engine"),
    "other masks": ({"masks": "none"}, UsageError, "was begun with --masks rle, got none"),
    "another threshold": ({"score_threshold": 0.5}, UsageError, "--score-threshold 0.0, got 0.5"),
    "another input": ({"input": "more"}, UsageError, "was begun with --input "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_of_another_job(run: Run, here: Path, name: str) -> None:
    change, kind, words = REFUSED[name]
    write_pictures(here / "photos", 3)
    write_pictures(here / "more", 3)
    write_engine(Path("other.onnx"), scores=np.array([0.9, 0.8, 0.7, 0.2], np.float32))
    Path("elsewhere").mkdir()
    Path("elsewhere/scripted.onnx").write_bytes(Path("other.onnx").read_bytes())
    run()
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    with pytest.raises(kind, match=words) as error:
        run(**{key: Path(value) if key == "engine" else value for key, value in change.items()})
    assert "give another --output" in str(error.value)
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before
    assert run().done_before == 3


def test_folders_of_something_else(run: Run, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 3)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"holds thesis.tex and no manifest.json"):
        run()
    (out / "thesis.tex").unlink()
    (out / ".hidden").write_text("x")
    assert run().images == 3
    (out / "detections" / "other.parquet").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"holds other.parquet, which this job did not write; move it away"):
        run()
    (out / "detections" / "other.parquet").unlink()
    for damage, words in ((b"{", "manifest.json"), (b'{"format": 2}', "its format is 2"), (b"[]", "its format is")):
        kept = (out / "manifest.json").read_bytes()
        (out / "manifest.json").write_bytes(damage)
        with pytest.raises(YolactError, match=words):
            run()
        (out / "manifest.json").write_bytes(kept)
    (out / "plan.parquet").write_bytes(b"PAR1")
    with pytest.raises(YolactError, match=r"plan.parquet: "):
        run()
    with pytest.raises(UsageError, match=r"is a file; expected the name of a folder"):
        run(output=str(out / "manifest.json"))


def test_one_job_at_a_time(run: Run, tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", 3)
    (tmp_path / "out").mkdir()
    lock = FileLock(tmp_path / "out" / ".lock", os.O_CREAT)
    with pytest.raises(YolactError, match="another yolact-batch writes to"):
        run()
    lock.release()
    assert run().images == 3 and not (tmp_path / "out" / ".lock").exists()


def test_a_worker_with_another_engine_file(run: Run, engine: Path, tmp_path: Path) -> None:
    """As on a machine of a cluster where the path leads elsewhere; nothing is written."""
    write_pictures(tmp_path / "photos", 3)

    def elsewhere(change: dict[str, Any], parts: Sequence[int], settings: WorkerSettings, share: Share) -> Any:
        return run_here(parts, replace(settings, **change), share)

    for change, words in (
        ({"engine": tmp_path / "none.onnx"}, "a worker's machine has no "),
        ({"engine_sha256": "0" * 64}, "a worker's machine has other contents in "),
        ({"version": "0.0.0"}, "expected 0.0.0"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(job, "run_parts", partial(elsewhere, change))
            with pytest.raises(EngineError, match=words):
                run()
    assert list((tmp_path / "out" / "detections").iterdir()) == []


def test_a_parquet_file_that_changed(run: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    photos = write_pictures(tmp_path / "photos", 6)
    table = pa.table({"bytes": [photo.read_bytes() for photo in photos]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    run(input=str(tmp_path / "a.parquet"))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    with pytest.raises(YolactError, match=r"a\.parquet has changed since"):
        run(input=str(tmp_path / "a.parquet"))
