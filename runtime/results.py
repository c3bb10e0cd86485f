"""Detections as JSON rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

from yolact.runtime.detections import Detections
from yolact.runtime.json_text import to_json
from yolact.runtime.partial_file import PartialFile

MaskFormat = Literal["rle", "polygon", "none"]


def to_row(
    source: str,
    detections: Detections,
    masks: MaskFormat,
    frame: int | None = None,
    time: float = 0.0,
    gap: float = 0.0,
) -> dict[str, Any]:
    """One image as JSON values.

    Args:
        source: where the image came from.
        detections: boxes and masks in pixels of that image, best first.
        masks: ``rle`` for COCO run-length encoding, ``polygon`` for lists [x1, y1, x2, y2, ...], ``none``.
        frame: index from 0 in a video.
        time: of the frame, in seconds from the beginning of the video.
        gap: seconds before it in which a stream gave no frames.

    Returns:
        ``{"source", "frame", "time" (videos only), "gap" (after one), "width", "height", "detections": [{"class_id",
        "class_name", "score", "box": [x1, y1, x2, y2], "mask", "track_id" (where they are tracked)}]}``. The score is
        the one instances are ranked by. The id of an object is the same in all frames, null for a detection that
        belongs to no track.
    """
    height, width = detections.image_size
    found: list[dict[str, Any]] = [
        {
            "class_id": class_id,
            "class_name": class_name,
            "score": round(score, 5),
            "box": [round(value, 2) for value in box],
        }
        for class_id, class_name, score, box in zip(
            detections.class_ids.tolist(),
            detections.class_names,
            detections.ranking_scores.tolist(),
            detections.boxes.tolist(),
            strict=True,
        )
    ]
    if detections.track_ids is not None:
        for values, id in zip(found, detections.track_ids.tolist(), strict=True):
            values["track_id"] = id if id > 0 else None
    if masks != "none":
        encoded: Sequence[Any] = detections.rle() if masks == "rle" else detections.polygons()
        for values, mask in zip(found, encoded, strict=True):
            values["mask"] = mask
    position: dict[str, Any] = {} if frame is None else {"frame": frame, "time": round(time, 6)}
    if gap:
        position["gap"] = round(gap, 6)
    return {"source": source, **position, "width": width, "height": height, "detections": found}


class JsonResults:
    """A JSON array being written row by row, so that hours of video need no memory.

    On leaving the context it is closed and renamed, also after Ctrl-C and when stdout's reader has gone: it then holds
    the rows so far. Without any, and after any other failure, an earlier file of that name stays as it was.
    """

    def __init__(self, path: Path) -> None:
        """`path` gets its name at the end; until then the rows are in a temporary file beside it."""
        self._path = path
        self._partial: PartialFile | None = None
        self._file: BinaryIO | None = None
        self._end = 0  # bytes that are whole rows: all the state there is, as Ctrl-C may come between any two steps

    def __enter__(self) -> JsonResults:
        """Create the temporary file. Raises OSError where that fails."""
        self._partial = PartialFile(self._path)
        self._file = self._partial.path.open("wb")
        return self

    def add(self, row: dict[str, Any]) -> None:
        """Append one row. Raises OSError where the disk is full."""
        if self._file is None:
            raise ValueError("enter the context before adding rows")
        text = (",\n" if self._end else "[\n") + to_json(row)
        self._end += self._file.write(text.encode("ascii"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._partial is None:
            return
        with self._partial as partial:
            with self._file as file:
                file.seek(self._end)
                file.truncate()
                file.write(b"\n]\n" if self._end else b"[]\n")
            if error is None or (self._end and isinstance(error, (KeyboardInterrupt, BrokenPipeError))):
                partial.commit()
