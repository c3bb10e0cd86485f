"""JSON that is whole or not there, names that cost nobody a file, and the line for people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from yolact.runtime.detections import Detections, summarise
from yolact.runtime.images.geometry import ImageTransform
from yolact.runtime.output_files import OutputNames
from yolact.runtime.results import JsonResults, to_row

CLASS_NAMES = ("person", "wine glass", "toothbrush", "dog", "bus")


def make_detections(class_ids: list[int]) -> Detections:
    """Boxes of the whole of a 4x6 image, masks of its left half, detection scores 0.9, mask scores 0.6."""
    count = len(class_ids)
    masks = np.zeros((count, 8, 8), np.float32)
    masks[:, :, :4] = 1
    return Detections(
        boxes=np.tile(np.array([0, 0, 6, 4], np.float32), (count, 1)),
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.array(class_ids, np.int32),
        mask_scores=np.full(count, 0.6, np.float32),
        mask_probabilities=masks,
        transform=ImageTransform((4, 6)),
        names=CLASS_NAMES,
    )


def test_a_row_has_what_the_documentation_says() -> None:
    row = to_row("a.jpg", make_detections([3]), "rle")
    assert row == {
        "source": "a.jpg",
        "width": 6,
        "height": 4,
        "detections": [
            {
                "class_id": 3,
                "class_name": "dog",
                "score": 0.6,
                "box": [0, 0, 6, 4],
                "mask": {"size": [4, 6], "counts": "0<<"},  # 12 set, 12 not, down the columns
            }
        ],
    }
    assert list(to_row("film.mp4", make_detections([]), "none", frame=0).items()) == [
        ("source", "film.mp4"),
        ("frame", 0),
        ("time", 0.0),
        ("width", 6),
        ("height", 4),
        ("detections", []),
    ]


def test_masks_as_polygons_and_left_out() -> None:
    (polygons,) = to_row("a.jpg", make_detections([0]), "polygon")["detections"]
    (outline,) = polygons["mask"]
    assert sorted(zip(outline[::2], outline[1::2], strict=True)) == [(0, 0), (0, 3), (2, 0), (2, 3)]
    (bare,) = to_row("a.jpg", make_detections([0]), "none")["detections"]
    assert "mask" not in bare


@pytest.mark.parametrize(
    ("class_ids", "text"),
    [
        ([], "no detections"),
        ([0, 3], "1 person, 1 dog"),
        ([3, 0, 0, 0], "3 persons, 1 dog"),
        ([1, 1, 2, 2, 4, 4], "2 wine glasses, 2 toothbrushes, 2 buses"),
    ],
)
def test_the_line_for_people(class_ids: list[int], text: str) -> None:
    assert summarise(make_detections(class_ids)) == text


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rows_become_an_array(tmp_path: Path, count: int) -> None:
    path = tmp_path / "out.json"
    rows = [{"source": f"Grüße {index}.jpg"} for index in range(count)]
    with JsonResults(path) as results:
        for row in rows:
            results.add(row)
        assert not path.exists()
    assert json.loads(path.read_text(encoding="utf-8")) == rows
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reason", [KeyboardInterrupt, BrokenPipeError])
def test_what_is_done_is_kept_when_the_user_stops(tmp_path: Path, reason: type[BaseException]) -> None:
    path = tmp_path / "out.json"
    with pytest.raises(reason), JsonResults(path) as results:
        results.add({"source": "a.jpg"})
        raise reason
    assert json.loads(path.read_text()) == [{"source": "a.jpg"}]


@pytest.mark.parametrize(("reason", "rows"), [(KeyboardInterrupt, 0), (RuntimeError, 1)])
def test_an_earlier_file_stays_where_there_is_nothing_to_keep(
    tmp_path: Path, reason: type[BaseException], rows: int
) -> None:
    path = tmp_path / "out.json"
    path.write_text("earlier")
    with pytest.raises(reason), JsonResults(path) as results:
        for _ in range(rows):
            results.add({})
        raise reason
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_outputs_keep_their_names_and_replace_those_of_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    names = OutputNames(tmp_path, [Path("elsewhere/a.jpg")])
    assert names.reserve("a", ".jpg") == tmp_path / "a.jpg"
    assert names.reserve("a", ".png") == tmp_path / "a.png"


def test_inputs_of_the_same_name_get_files_of_their_own(tmp_path: Path) -> None:
    names = OutputNames(tmp_path, [])
    stems = ["a", "a", "A", "a-2"]  # some file systems take A.jpg for a.jpg
    assert [names.reserve(stem, ".jpg").name for stem in stems] == ["a.jpg", "a-2.jpg", "A-3.jpg", "a-2-2.jpg"]


def test_nothing_is_replaced_in_a_folder_that_inputs_come_from(tmp_path: Path) -> None:
    for name in ("a.jpg", "a-2.jpg", "b.jpg"):
        (tmp_path / name).touch()
    names = OutputNames(tmp_path / "folder" / "..", [tmp_path / "a.jpg"])
    (tmp_path / "folder").mkdir()
    assert [names.reserve(stem, ".jpg").name for stem in "abc"] == ["a-3.jpg", "b-2.jpg", "c.jpg"]


def test_an_input_is_not_replaced_through_a_link(tmp_path: Path) -> None:
    original = tmp_path / "photos" / "a.jpg"
    original.parent.mkdir()
    original.touch()
    output = tmp_path / "output"
    output.mkdir()
    (output / "a.jpg").symlink_to(original)
    assert OutputNames(output, [original]).reserve("a", ".jpg") == output / "a-2.jpg"
