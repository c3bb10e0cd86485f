"""Options for videos: the frames to take, how videos are written, and how often a broken stream is connected again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yolact.runtime.video.frames import Frame

if TYPE_CHECKING:
    from yolact.runtime.video.encoders import VideoCodec


@dataclass(frozen=True)
class VideoOptions:
    """Options for videos.

    Attributes:
        codec: of videos that are written, None for the first available one.
        audio: whether the sound of video files is copied.
        max_frames: frames that are taken of a video, None for all.
        stride: every `stride`-th frame is taken.
        duration: seconds that are taken of a video, None for all.
        reconnect: times in a row that a stream which broke off is connected again.
    """

    codec: VideoCodec | None = None
    audio: bool = False
    max_frames: int | None = None
    stride: int = 1
    duration: float | None = None
    reconnect: int = 0

    def choose(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames that are taken. No frame is asked for after the last one."""
        taken, start = 0, None
        for frame in frames:
            start = frame.time if start is None else start
            if self.duration is not None and frame.time - start >= self.duration:
                return
            if frame.index % self.stride == 0:
                yield frame
                taken += 1
            if taken == self.max_frames:
                return
