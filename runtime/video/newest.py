"""The newest frame of a live video, however slowly frames are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from yolact.runtime.video.frames import Frame, Video

_PATIENCE = 0.02  # seconds between checks whether the frames are still wanted
_SECONDS = 2.0  # for the reading thread to end


class NewestFrames(Video):
    """A live video that is read all the time. Of the frames that wait only the newest one is kept.

    Attributes:
        dropped: frames that were left out so far.
    """

    is_live = True

    def __init__(self, video: Video, stride: int, goes_on: Callable[[], bool]) -> None:
        """
        Args:
            video: to be read; it is closed with this one.
            stride: only every `stride`-th frame is kept or counted as dropped.
            goes_on: asked many times a second while a frame is waited for. False ends the frames.
        """
        self.name, self.fps, self.sound = video.name, video.fps, video.sound
        self.dropped = 0
        self._video, self._stride, self._goes_on = video, stride, goes_on
        self._waiting: SimpleQueue[Frame | BaseException | None] = SimpleQueue()  # None is the end
        self._thread = threading.Thread(target=self._read, daemon=True, name="yolact newest frames")

    def __iter__(self) -> Iterator[Frame]:
        self._thread.start()
        while self._goes_on():
            try:
                one = self._waiting.get(timeout=_PATIENCE)
            except Empty:
                continue
            if one is None:
                return
            if isinstance(one, BaseException):
                raise one
            yield one

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for frame in self._video:
                if frame.index % self._stride == 0:
                    self._keep(frame)
        except BaseException as error:
            end = error
        self._waiting.put(end)

    def _keep(self, frame: Frame) -> None:
        try:
            self._waiting.get_nowait()
            self.dropped += 1
        except Empty:
            pass
        self._waiting.put(frame)

    def close(self) -> None:
        self._video.close()
        if self._thread.is_alive():
            self._thread.join(_SECONDS)
