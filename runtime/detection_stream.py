"""Detections of many images, one after the other, with batches in flight."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from os import PathLike
from types import TracebackType
from typing import Any

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.preprocess import check_image

StreamSource = Image | str | PathLike[str] | Callable[[], Image]
"""An image, the name of a file, or a function that reads an image in another thread."""

_Find = Callable[[Sequence[Any]], list[Detections]]
_Load = Callable[[StreamSource], Any]
_Read = list[Any]
_Found = tuple[list[Detections | Exception], float]


class DetectionStream(Iterator[Detections]):
    """Yields the detections of each image in order; see `Detector.stream`.

    An image's error is raised when its turn comes, and the next call of `next` goes on with the image after it. The
    failure of a batch is raised for each of its images. Leaving the context, `close`, an interrupt, or dropping the
    stream ends the batches in flight; no others are begun.

    Attributes:
        milliseconds: duration of detection in the batch of the last image, from images in memory on.
    """

    def __init__(
        self,
        find: _Find,
        sources: Iterable[StreamSource],
        *,
        batch_size: int,
        in_flight: int,
        streams: int | None,
        load: _Load | None = None,
    ) -> None:
        """Use `Detector.stream`.

        `streams`: threads that read and call `find`, at once; with None the thread that asks for results calls it, and
        another reads the images after them. `load` makes the input of `find` from a source; an image by default.
        """
        self._find, self._sources = find, iter(sources)
        self._load = load or load_image
        self._batch_size, self._in_flight, self._streams = batch_size, in_flight, streams
        self._pending = deque[Future[_Read | _Found]]()
        self._ready = deque[Detections | Exception]()
        self._filling = threading.Lock()
        self.milliseconds = 0.0
        self._pool = ThreadPoolExecutor(streams or 1, "yolact stream")
        self._finalizer = weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)

    def __next__(self) -> Detections:
        try:
            while not self._ready:
                self.begin()
                if not self._pending:
                    self.close()
                    raise StopIteration
                done = self._pending[0].result()  # it counts as in flight until it is done
                outcomes, self.milliseconds = done if isinstance(done, tuple) else _detect(self._find, done)
                self._ready.extend(outcomes)
                self._pending.popleft()
        except BaseException:
            self.close()
            raise
        outcome = self._ready.popleft()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def begin(self) -> None:
        """Begin with the sources at hand, up to the batches in flight, and wait for nothing.

        For sources that have nothing for now and go on later. Another thread may wait in `next` meanwhile.
        """
        with self._filling:
            self._fill()

    def _fill(self) -> None:
        """Begin with as many batches as may be in flight. Where the sources fail, that is raised in its turn."""
        while self._finalizer.alive and len(self._pending) < self._in_flight:
            batch: list[StreamSource] = []
            try:
                batch.extend(islice(self._sources, self._batch_size))
            except Exception as error:
                failed: Future[_Read | _Found] = Future()
                failed.set_exception(error)
                self._sources = iter(())
                if batch:
                    self._submit(batch)
                self._pending.append(failed)
                return
            if not batch:
                return
            self._submit(batch)

    def _submit(self, batch: list[StreamSource]) -> None:
        find = None if self._streams is None else self._find
        self._pending.append(self._pool.submit(_work, find, self._load, batch))

    def close(self) -> None:
        """End the batches in flight and wait for their end. Calling it again does nothing."""
        with self._filling:
            self._sources = iter(())
            self._pending.clear()
            self._finalizer.detach()
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> DetectionStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_image(source: StreamSource) -> Image:
    """The image itself, checked. Raises ImageError where it is none, or cannot be read."""
    if isinstance(source, (str, PathLike)):
        return read_image(source)
    image = source() if callable(source) else source
    check_image(image)
    return image


def _work(find: _Find | None, load: _Load, sources: Sequence[StreamSource]) -> _Read | _Found:
    """The work of a thread on a batch: read it and, where `find` is given, detect."""
    images = [_read(load, source) for source in sources]
    return images if find is None else _detect(find, images)


def _read(load: _Load, source: StreamSource) -> Any:
    """The loaded image, or its error."""
    try:
        return load(source)
    except Exception as error:
        return error


def _detect(find: _Find, images: _Read) -> _Found:
    """The detections of those images that could be read, or the error; and the duration, ms."""
    readable = [image for image in images if not isinstance(image, Exception)]
    start = time.perf_counter()
    try:
        found = iter(find(readable) if readable else [])
        outcomes = [image if isinstance(image, Exception) else next(found) for image in images]
    except Exception as error:
        outcomes = [image if isinstance(image, Exception) else error for image in images]
    return outcomes, 1000 * (time.perf_counter() - start)
