"""The interface of every opened video, whether it comes from a file, a stream or a camera."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType

from yolact.runtime.images.arrays import Image

DEFAULT_FPS = 30.0
"""Frames a second of cameras and streams that do not tell."""

MAX_FPS = 240.0
"""A rate above it is a time base (90000, 1000), not a rate."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8 BGR, upright.
        time: when it is shown, in seconds from the beginning of the video.
        index: its number from 0 among all frames of the video.
        gap: seconds without frames before it, while a stream was connected again; 0 elsewhere.
        arrival: when it was there, in seconds of `time.monotonic`.
    """

    image: Image
    time: float
    index: int
    gap: float = 0.0
    arrival: float = field(default_factory=monotonic, compare=False)


class Video(ABC):
    """An opened video. Iterate it once; use it as a context manager to release the file or camera.

    Attributes:
        name: its name in errors.
        fps: frames per second on average.
        frame_count: frames the container announces, None for cameras and streams. Often an estimate.
        is_live: whether it has no known length, so that frames come as they happen.
        may_wait: whether a frame may have to be waited for, as from a server; only the main thread can be interrupted.
        sound: the file that sound can be copied from, None where there is none.
    """

    name: str
    fps: float = DEFAULT_FPS
    frame_count: int | None = None
    is_live: bool = False
    may_wait: bool = False
    sound: Path | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Frames in the order of their times.

        Raises ImageError after the last frame where the video is damaged, or ends without having announced that.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the file, the connection or the camera. Calling it again does nothing."""

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
