"""Draws and writes the detections of an image while the network works on the next one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from yolact.runtime.detections import Detections
from yolact.runtime.errors import ImageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import ColorBy, annotate
from yolact.runtime.images.image_files import write_image
from yolact.runtime.results import JsonResults, MaskFormat, to_row
from yolact.runtime.sources import Source
from yolact.runtime.wording import Say


class PictureWriter:
    """Draws, writes and encodes one image's detections in the background, while the next image is in the network.

    Leaving the context finishes what is under way.

    Attributes:
        complete: whether every picture could be written so far.
    """

    def __init__(
        self, masks: MaskFormat, color_by: ColorBy, results: JsonResults | None, say: Say, report: Say
    ) -> None:
        """`masks`: their form in the `results`, which may be None. `color_by`: see `annotate`. `say` gets a line about
        each picture, `report` one about each that cannot be written."""
        self.complete = True
        self._masks, self._color_by, self._results = masks, color_by, results
        self._say, self._report = say, report
        self._pool = ThreadPoolExecutor(1)
        self._pending: tuple[str, Future[dict[str, Any] | None]] | None = None

    def add(self, source: Source, image: Image, detections: Detections, path: Path, summary: str) -> None:
        """Start with an image once the one before is finished, so that one at most is held in memory."""
        self.finish()
        self._pending = (
            f"{source.name}: {summary} -> {path}",
            self._pool.submit(self._make, source.name, image, detections, path),
        )

    def _make(self, name: str, image: Image, detections: Detections, path: Path) -> dict[str, Any] | None:
        write_image(path, annotate(image, detections, color_by=self._color_by))
        return None if self._results is None else to_row(name, detections, self._masks)

    def finish(self) -> None:
        """Wait for the image under way, then record and print it. One that cannot be written is reported."""
        if self._pending is None:
            return
        (line, made), self._pending = self._pending, None
        try:
            row = made.result()
        except ImageError as error:
            self._report(str(error))
            self.complete = False
            return
        if self._results is not None and row is not None:
            self._results.add(row)
        self._say(line)

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._pool:
            if kind is not BrokenPipeError:
                self.finish()
