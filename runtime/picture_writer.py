"""Puts out what was found in images while the next ones are in the network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from tqdm import tqdm

from yolact.runtime.cli import report
from yolact.runtime.detections import Detections
from yolact.runtime.drawing import annotate
from yolact.runtime.errors import ImageError
from yolact.runtime.image_files import write_image
from yolact.runtime.preprocess import Image
from yolact.runtime.results import JsonResults, MaskFormat, to_row
from yolact.runtime.sources import Source


class PictureWriter:
    """Draws, writes and encodes one image's detections in the background, while the next image is in the network.

    Leaving the context finishes what is under way.

    Attributes:
        complete: whether every picture could be written so far.
    """

    def __init__(self, class_names: Sequence[str], masks: MaskFormat, results: JsonResults | None) -> None:
        """`masks`: their form in the `results`, which may be None."""
        self.complete = True
        self._class_names, self._masks, self._results = class_names, masks, results
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
        write_image(path, annotate(image, detections, self._class_names))
        return None if self._results is None else to_row(name, detections, self._class_names, self._masks)

    def finish(self) -> None:
        """Wait for the image under way, then record and print it. One that cannot be written is reported."""
        if self._pending is None:
            return
        (line, made), self._pending = self._pending, None
        try:
            row = made.result()
        except ImageError as error:
            report_above_bar(error)
            self.complete = False
            return
        if self._results is not None and row is not None:
            self._results.add(row)
        print_above_bar(line)

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._pool:
            if kind is not BrokenPipeError:
                self.finish()


def report_above_bar(error: ImageError) -> None:
    """One line on stderr, above the progress bar if there is one."""
    with tqdm.external_write_mode():
        report(str(error))


def print_above_bar(line: str) -> None:
    """One line of results on stdout, above the progress bar if there is one."""
    with tqdm.external_write_mode():
        click.echo(click.format_filename(line))
