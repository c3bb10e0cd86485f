"""Cameras, by OpenCV: it knows those of every system by an index, which FFmpeg does not."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from yolact.runtime.errors import ImageError
from yolact.runtime.images.pixel_limit import check_pixels
from yolact.runtime.video.frames import DEFAULT_FPS, MAX_FPS, Frame, Video
from yolact.runtime.video.interruptible import Ended, Waiting


class Camera(Video):
    """A camera of this machine. Times of its frames are those at which they arrive."""

    is_live = True

    def __init__(self, index: int, name: str) -> None:
        """Raises ImageError where the camera cannot be opened."""
        self.name = name
        self._waiting = Waiting()
        self._capture = self._waiting.call(lambda: cv2.VideoCapture(index, cv2.CAP_ANY))
        if not self._capture.isOpened():
            self.close()
            raise ImageError(f"{name} cannot be opened; is it connected, free, and readable for this user?")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0 < rate <= MAX_FPS else DEFAULT_FPS

    def __iter__(self) -> Iterator[Frame]:
        count, start = 0, 0.0
        while True:
            try:
                success, image = self._waiting.call(self._capture.read)
            except Ended:
                return
            if not success:
                break
            check_pixels(self.name, "frame", image.shape[1], image.shape[0])
            now = time.monotonic()
            start = start if count else now
            yield Frame(np.asarray(image, np.uint8), now - start, count)
            count += 1
        if count == 0:
            raise ImageError(f"{self.name} gives no frame; is another program using it?")
        raise ImageError(f"{self.name} stopped after {count} frames")

    def close(self) -> None:
        self._waiting.end(self._capture.release)
