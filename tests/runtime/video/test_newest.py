"""Of a live video the newest frame is taken, and what waited is dropped and counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from waiting import wait_until

from yolact.runtime.errors import ImageError
from yolact.runtime.video.frames import Frame, Video
from yolact.runtime.video.newest import NewestFrames


class Camera(Video):
    """Gives frames one by one as it is told to, and fails at the end."""

    name, fps, is_live = "camera", 10, True

    def __init__(self, frames: int) -> None:
        self.frames, self.sent, self.is_closed = frames, 0, threading.Event()
        self.allowed = threading.Semaphore(0)

    def allow(self, frames: int) -> None:
        """Let so many frames come, and wait until they were taken."""
        wanted = self.sent + frames
        self.allowed.release(frames)
        wait_until(lambda: self.sent >= wanted)

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.frames):
            while not self.allowed.acquire(timeout=0.01):
                if self.is_closed.is_set():
                    return
            yield Frame(np.zeros((2, 3, 3), np.uint8), number / 10, number)
            self.sent = number + 1
        raise ImageError("camera: unplugged")

    def close(self) -> None:
        self.is_closed.set()


def test_what_waits_is_dropped() -> None:
    camera = Camera(20)
    with NewestFrames(camera, 1, lambda: True) as newest:
        camera.allowed.release()
        frames = iter(newest)
        assert next(frames).index == 0
        camera.allow(6)
        camera.allow(1)
        assert (next(frames).index, newest.dropped) == (7, 6)
        camera.allow(1)
        assert (next(frames).index, newest.dropped) == (8, 6)
    assert camera.is_closed.is_set()
    assert "yolact newest frames" not in [thread.name for thread in threading.enumerate()]


def test_frames_that_nobody_wants_are_not_dropped() -> None:
    """Of --stride: those between are neither shown nor counted, however many of the others are dropped."""
    camera = Camera(20)
    with NewestFrames(camera, 5, lambda: True) as newest:
        camera.allowed.release()
        frames = iter(newest)
        assert next(frames).index == 0
        camera.allow(13)
        assert (next(frames).index, newest.dropped) == (10, 1)


def test_the_last_frame_comes_before_the_failure() -> None:
    camera = Camera(3)
    with NewestFrames(camera, 1, lambda: True) as newest:
        camera.allowed.release(3)
        seen = []
        with pytest.raises(ImageError, match="unplugged"):
            seen.extend(frame.index for frame in newest)
            raise AssertionError("it has no end")
        assert newest.dropped <= 2 and camera.sent == 3


def test_it_can_be_ended_while_nothing_comes() -> None:
    answers = iter([True, True, False])
    with NewestFrames(Camera(3), 1, lambda: next(answers)) as newest:
        assert list(newest) == []


def test_an_endless_wait_ends_with_the_video() -> None:
    """A consumer that fails leaves no thread."""
    camera = Camera(9)
    camera.allowed.release(1)
    with pytest.raises(ZeroDivisionError), NewestFrames(camera, 1, lambda: True) as newest:
        for _ in newest:
            raise ZeroDivisionError
    assert "yolact newest frames" not in [thread.name for thread in threading.enumerate()]
