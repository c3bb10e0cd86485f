"""The example that counts over a line, on rectangles that cross it so many times."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from moving_shapes import rectangles
from numbered_films import steady, write_film
from repository import ROOT
from scripted_engine import write_engine


@pytest.mark.parametrize(("right", "left"), [(0, 0), (1, 0), (0, 2), (3, 1)])
def test_each_crossing_is_counted_once_in_its_direction(right: int, left: int) -> None:
    import supervision as sv

    example = runpy.run_path(str(ROOT / "examples" / "count_over_a_line.py"))
    line = sv.LineZone(sv.Point(80, 0), sv.Point(80, 120), triggering_anchors=[sv.Position.CENTER])
    frames = []
    for frame in range(26):
        boxes = [(20 + 4 * frame, 22 * row, 36 + 4 * frame, 22 * row + 16) for row in range(right)]
        boxes += [(120 - 4 * frame, 22 * row, 136 - 4 * frame, 22 * row + 16) for row in range(right, right + left)]
        frames.append(rectangles([*boxes, (100, 100, 120, 118)]))  # the last stays where it is
    assert example["count"](frames, line) == (right, left)


def run_example(*arguments: str) -> None:
    before = sys.argv
    sys.argv = ["count_over_a_line.py", *arguments]
    try:
        runpy.run_path(str(ROOT / "examples" / "count_over_a_line.py"), run_name="__main__")
    finally:
        sys.argv = before


def test_the_program_reads_videos_as_the_commands_do(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What always lies at the same places crosses nothing; a file that is no video is told in a sentence."""
    engine = write_engine(here / "scripted.onnx")
    write_film(here / "film.mp4", steady(4))
    run_example(str(engine), "film.mp4")
    assert capsys.readouterr().out.startswith("0 in, 0 out")
    (here / "text.mp4").write_bytes(b"no video")
    with pytest.raises(SystemExit, match=r"error: text\.mp4: this cannot be opened as a video"):
        run_example(str(engine), "text.mp4")
