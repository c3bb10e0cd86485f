"""The newest picture, for any number of viewers, without waiting for any of them."""

from __future__ import annotations

import threading

import cv2

from yolact.runtime.images.arrays import Image

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


class Broadcast:
    """Keeps the newest picture, and encodes it once where at least one viewer asks for it.

    Attributes:
        is_over: whether no more pictures come.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._news = threading.Condition()
        self._encoding = threading.Lock()
        self._image: Image | None = None
        self._number = 0
        self._jpeg = (0, b"")

    def publish(self, image: Image) -> None:
        """Take the place of the picture before, (H, W, 3) uint8 BGR, which stays as it is."""
        with self._news:
            self._image, self._number = image, self._number + 1
            self._news.notify_all()

    def end(self) -> None:
        """Release all waiting viewers."""
        self.is_over = True
        with self._news:
            self._news.notify_all()

    def wait_for(self, after: int, seconds: float) -> tuple[int, bytes] | None:
        """The number and JPEG of the newest picture, as soon as its number is above `after`.

        None where there is none in this time, or at the end.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._number > after or self.is_over, seconds) or self.is_over:
                return None
        with self._encoding:
            with self._news:
                image, number = self._image, self._number
            if number != self._jpeg[0] and image is not None:
                self._jpeg = (number, cv2.imencode(".jpg", image, _QUALITY)[1].tobytes())
            return self._jpeg
