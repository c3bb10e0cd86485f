"""Shows each frame of a run where it is watched, and ends the run where a viewer says so."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image
from yolact.runtime.live.figures import Figures, Meter
from yolact.runtime.video.frames import Frame, Video
from yolact.runtime.video.newest import NewestFrames


class Screen(Protocol):
    """A screen that shows pictures."""

    def show(self, image: Image, figures: Figures) -> None:
        """Show a picture, (H, W, 3) uint8 BGR, which stays as it is."""

    def is_closed(self) -> bool:
        """Whether the user has ended the run there. It is asked many times a second, from the main thread."""

    def close(self) -> None: ...


class LiveView:
    """The screens of a run, of which there may be none. As a context manager it closes them.

    Attributes:
        is_over: whether the user has ended the run.
    """

    def __init__(self, screens: Sequence[Screen]) -> None:
        self._screens = screens
        self._meter = Meter("")
        self._video: Video | None = None
        self._figures: Figures | None = None
        self.is_over = False

    def watch(self, video: Video, stride: int) -> Video:
        """A video as it is watched: of a live one its newest frames, until the user ends the run.

        Frames that wait while an older one is worked on would be shown ever later, so they are dropped and counted.
        Files wait, so all of their frames are shown.
        """
        self._meter, self._figures = Meter(video.name), None
        if self._screens and video.is_live:
            video = NewestFrames(video, stride, self._goes_on)
        self._video = video
        return video

    def show(self, frame: Frame, image: Image, detections: Detections) -> None:
        """Show a frame of the video that is watched, with its detections drawn on it; from the main thread."""
        if not self._screens:
            return
        dropped = self._video.dropped if isinstance(self._video, NewestFrames) else 0
        self._figures = self._meter.measure(frame, detections, dropped)
        for screen in self._screens:
            screen.show(image, self._figures)
        self._goes_on()

    def summarise(self) -> list[str]:
        """A line about the video that was watched, where there is something to tell."""
        return [] if self._figures is None else [self._meter.summarise(self._figures)]

    def _goes_on(self) -> bool:
        self.is_over = self.is_over or any(screen.is_closed() for screen in self._screens)
        return not self.is_over

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for screen in self._screens:
            screen.close()
