"""The example that counts over a line, on rectangles that cross it so many times."""

from __future__ import annotations

import runpy

import pytest
from moving_shapes import rectangles
from repository import ROOT


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
