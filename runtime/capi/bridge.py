"""The functions that libyolact.so calls. They return plain buffers, or a status and a sentence for an exception.

The numbers of statuses and formats are those of yolact.h.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast
from weakref import WeakSet

import numpy as np

from yolact.runtime.capi.buffers import Buffers, CImage, as_bgr, as_buffers
from yolact.runtime.capi.image_stream import ImageStream, StreamEmpty, StreamFull
from yolact.runtime.detector import Detector
from yolact.runtime.engine import ComputePrecision
from yolact.runtime.errors import EngineError, ImageError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.wording import printable

STATUSES: dict[type[Exception], int] = {
    UsageError: 1,
    EngineError: 3,
    MemoryError: 6,
    ImageError: 4,
    StreamFull: 8,
    StreamEmpty: 9,
}
"""YOLACT_ERROR_... of the exceptions whose sentence is meant for the caller; the first match counts."""

CLOSED, INTERNAL = 2, 7
"""YOLACT_ERROR_HANDLE and YOLACT_ERROR_INTERNAL."""

ANY_BATCH = 2**31 - 1
"""INT32_MAX: the answer of yolact_max_batch where any number of images will do."""


class Session:
    """An open detector. Several threads may use it at once; `close` frees it once the last of them is done."""

    def __init__(self, detector: Detector, score_threshold: float, top_k: int | None) -> None:
        self._detector: Detector | None = detector
        self._score_threshold, self._top_k = score_threshold, top_k
        self._running = 0
        self._streams = WeakSet[ImageStream]()
        self._changed = threading.Condition()
        self.class_names = tuple(map(as_c_text, detector.class_names))
        self.max_batch = min(detector.max_batch or ANY_BATCH, ANY_BATCH)

    def infer(self, images: Sequence[CImage]) -> list[Buffers]:
        """Detect in a batch. Raises ReferenceError where another thread has closed the session just before."""
        with self._changed:
            detector = self._detector
            if detector is None:
                raise ReferenceError("this handle was closed by another thread; open the engine again")
            self._running += 1
        try:
            wanted = [as_bgr(*image) for image in images]
            found = detector(wanted, score_threshold=self._score_threshold, top_k=self._top_k)
            return [as_buffers(detections) for detections in found]
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def open_stream(self, in_flight: int, batch_size: int) -> ImageStream:
        """A stream on this engine, which `close` ends too. 0 for a `batch_size` is the least that the engine takes."""
        with self._changed:
            if self._detector is None:
                raise ReferenceError("this handle was closed by another thread; open the engine again")
            size = batch_size or self._detector.engine.min_batch
            stream = ImageStream(self._detector, in_flight, size, self._score_threshold, self._top_k)
            self._streams.add(stream)
            return stream

    def close(self) -> None:
        """Free the engine once no call runs on it; new calls are refused at once."""
        with self._changed:
            detector, self._detector = self._detector, None
            self._changed.wait_for(lambda: self._running == 0)
        for stream in list(self._streams):
            stream.close()
        if detector is not None:
            detector.close()


def open_session(
    path: str,
    score_threshold: float,
    top_k: int,
    device: bytes | None,
    threads: int,
    allow_host_code: bool,
    precision: bytes | None,
) -> Session:
    """Open an engine file with C's conventions: 0 for no `top_k` and for the usual number of `threads`."""
    where, computing = (
        None if text is None else text.decode(errors="backslashreplace") for text in (device, precision)
    )
    detector = Detector.open(
        path,
        device=where,
        threads=threads or None,
        allow_host_code=allow_host_code,
        precision=cast(ComputePrecision, computing or "file"),  # which says what is wrong with another text
    )
    return Session(detector, score_threshold, top_k or None)


def decode(file: bytes) -> Image:
    """The image (H, W, 3) uint8 BGR in the contents of an image file, C-contiguous. Raises ImageError."""
    return np.ascontiguousarray(decode_image(file, "image"))


def as_c_text(text: str) -> bytes:
    """A name as UTF-8 that a C program can read to its end: zeros and characters that UTF-8 lacks become escapes."""
    return text.encode(errors="backslashreplace").replace(b"\0", b"\\x00")


def explain(error: BaseException) -> tuple[int, bytes]:
    """The status for an exception, and the sentence as UTF-8, which any terminal can show."""
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            text = str(error) or "there is not enough memory; use smaller images or fewer at a time"
            return status, printable(text).encode()
    if isinstance(error, ReferenceError):
        return CLOSED, printable(str(error)).encode()
    return INTERNAL, printable(f"the Python runtime failed with {type(error).__name__}: {error}").encode()
