"""Images that a C program hands in one by one, and their results in the same order, on `Detector.stream`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from yolact.runtime.capi.buffers import Buffers, CImage, as_bgr, as_buffers
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image


class StreamFull(Exception):
    """As many images were submitted as a stream holds."""


class StreamEmpty(Exception):
    """There is no image whose result could be taken."""


class ImageStream:
    """Takes images until `in_flight` batches are full, and gives the results of each in order.

    Threads may submit, take and close at the same time; several that submit, or take, do so in turn.
    """

    def __init__(
        self, detector: Detector, in_flight: int, batch_size: int, score_threshold: float, top_k: int | None
    ) -> None:
        self._images = _Submitted(batch_size)
        self._found = detector.stream(
            self._images, in_flight, batch_size=batch_size, score_threshold=score_threshold, top_k=top_k
        )
        self._capacity = in_flight * batch_size
        self._is_open = True
        self._submitting, self._taking = threading.Lock(), threading.Lock()

    def submit(self, image: CImage) -> None:
        """Copy an image, and begin with its batch once that is full, without waiting for results.

        Raises StreamFull, and ReferenceError where the stream was closed.
        """
        with self._submitting:
            self._check_open()
            if self._images.held >= self._capacity:
                raise StreamFull(f"this stream holds {self._capacity} images already; take a result first")
            pixels = as_bgr(*image)
            self._images.add(pixels.copy() if pixels.base is not None else pixels)
            if self._images.fill_a_batch:
                self._found.begin()

    def take(self) -> tuple[int, int, list[Buffers]]:
        """Height and width of the next image and, alone in a list, its arrays.

        Raises the image's error, StreamEmpty, and ReferenceError where the stream was closed.
        """
        with self._taking:
            self._check_open()
            if self._images.held == 0:
                raise StreamEmpty("the results of all images of this stream were taken; submit another image")
            try:
                found = next(self._found, None)
            finally:
                self._images.remove()
            if found is None:
                raise ReferenceError("this stream was interrupted; open another")
            return (*found.image_size, [as_buffers(found)])

    def close(self) -> None:
        """End the batches in flight once no call runs; new calls are refused at once. Closing it again does nothing."""
        self._is_open = False
        with self._submitting, self._taking:
            self._found.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise ReferenceError("this stream, or the detector that it runs on, was closed; open another")


class _Submitted(Iterator[Image]):
    """Gives out submitted images in whole batches, and in a smaller one only where nothing else is under way."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._waiting = deque[Image]()
        self._of_batch = 0  # still to be given out of the batch that was begun last
        self._begun = 0  # given out and not removed
        self._lock = threading.Lock()

    def add(self, image: Image) -> None:
        with self._lock:
            self._waiting.append(image)

    def remove(self) -> None:
        """Forget the first image, whose result was taken."""
        with self._lock:
            self._begun -= 1

    @property
    def held(self) -> int:
        with self._lock:
            return len(self._waiting) + self._begun

    @property
    def fill_a_batch(self) -> bool:
        return len(self._waiting) >= self._batch_size

    def __next__(self) -> Image:
        """Raises StopIteration where there is none for now; another call may find one."""
        with self._lock:
            if self._of_batch == 0 and (self.fill_a_batch or self._begun == 0):
                self._of_batch = min(len(self._waiting), self._batch_size)
            if self._of_batch == 0:
                raise StopIteration
            self._of_batch -= 1
            self._begun += 1
            return self._waiting.popleft()
