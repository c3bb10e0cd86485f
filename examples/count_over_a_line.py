"""Counts objects that cross a line in a video, with supervision's counting and this project's tracks.

python examples/count_over_a_line.py yolact.onnx film.mp4 [X1 Y1 X2 Y2]

The line goes through the middle of the picture from above to below unless its ends are given, in pixels.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import supervision as sv

from yolact import Detections, Detector, Tracker
from yolact.runtime.errors import YolactError
from yolact.runtime.video.opening import open_video


def count(frames: Iterable[Detections], line: sv.LineZone) -> tuple[int, int]:
    """The number of objects that crossed the line each way: to the right and to the left of a line that goes down."""
    tracker = Tracker()
    for found in frames:
        line.trigger(tracker.update(found).to_supervision())
    return line.in_count, line.out_count


def main() -> None:
    if len(sys.argv) not in (3, 7):
        sys.exit(f"usage: {sys.argv[0]} ENGINE VIDEO [X1 Y1 X2 Y2]")
    try:
        with Detector.open(sys.argv[1]) as detector, open_video(Path(sys.argv[2]), sys.argv[2]) as video:
            frames = iter(video)
            first = next(frames)
            height, width = first.image.shape[:2]
            x1, y1, x2, y2 = map(float, sys.argv[3:] or (width / 2, 0, width / 2, height))
            line = sv.LineZone(sv.Point(x1, y1), sv.Point(x2, y2), triggering_anchors=[sv.Position.CENTER])
            images = (frame.image for frame in chain([first], frames))
            with detector.stream(images, score_threshold=0.15) as found:
                inwards, outwards = count(found, line)
    except YolactError as error:
        sys.exit(f"error: {error}")
    print(f"{inwards} in, {outwards} out; where the line goes down, in is to the right")


if __name__ == "__main__":
    main()
