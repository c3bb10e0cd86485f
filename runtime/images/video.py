"""Reads frames from video files, streams and cameras, and writes annotated videos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from yolact.runtime.errors import ImageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.partial_file import PartialFile

_DEFAULT_FPS = 30.0  # for cameras and streams that do not tell
_MAX_FPS = 240.0  # above it is a time base (90000, 1000), not a rate


class VideoReader:
    """An opened video. Iterate it once; use it as a context manager to let go of the file or camera.

    Attributes:
        name: how it is called in errors.
        fps: frames per second.
        frame_count: frames the container announces, None for cameras and streams. Often an estimate.
        is_live: whether nothing tells its length: then frames come when they happen.
    """

    def __init__(self, location: str | int, name: str) -> None:
        """Open a file or URL (str) or a camera (its index). Raises ImageError where that fails."""
        self.name = name
        self._is_camera = isinstance(location, int)
        if not _is_utf8(str(location)):
            raise ImageError(f"{name}: OpenCV opens videos by names in UTF-8 only; rename this one")
        self._capture = cv2.VideoCapture(location, cv2.CAP_ANY if self._is_camera else _stream_backend())
        if not self._capture.isOpened():
            raise ImageError(
                f"{name} cannot be opened; is it connected, free, and readable for this user?"
                if self._is_camera
                else f"{name}: this cannot be opened as a video; it is truncated, damaged, or in no format OpenCV reads"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0 < rate <= _MAX_FPS else _DEFAULT_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count = int(count) if count > 0 and not self._is_camera else None
        self.is_live = self.frame_count is None

    def __iter__(self) -> Iterator[Image]:
        """Frames (H, W, 3) uint8 BGR, upright.

        Raises ImageError after the last frame where the video ends long before the length it announces.
        """
        count, position = 0, 0.0
        while True:
            success, frame = self._capture.read()
            if not success:
                break
            count += 1
            position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield np.asarray(frame, np.uint8)
        if count == 0:
            raise ImageError(f"{self.name}: no frame of this video can be decoded")
        if self._is_camera:
            raise ImageError(f"{self.name} stopped after {count} frames")
        # Time counts as well as frames: where the rate varies, the announced number is only duration x nominal rate.
        reached = max(count, position * self.fps + 1)
        if self.frame_count is not None and reached < 0.98 * self.frame_count - 1:
            raise ImageError(f"{self.name}: the video ends after {count} of {self.frame_count} frames; copy it again")

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()


class VideoFile:
    """An MP4 being written. On leaving the context, whatever the reason, it is closed, checked, and gets its name.

    Attributes:
        path: its name.
        frame_count: frames written so far.
        is_saved: whether it has its name.
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Nothing is created before the first frame."""
        self.path = path
        self.frame_count = 0
        self.is_saved = False
        self._fps = fps
        self._partial: PartialFile | None = None
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, frame: Image) -> None:
        """Append (H, W, 3) uint8 BGR. Frames of another size than the first are stretched to it.

        Raises:
            ImageError: the frames are too small for video.
            YolactError: the file cannot be written.
        """
        if self._writer is None:
            self._size = (frame.shape[1], frame.shape[0])
            if min(self._size) < 2:
                raise ImageError(f"{self.path}: a video needs at least 2x2 pixels, got frames of {self._size}")
            self._writer = self._open()
        if frame.shape[1::-1] != self._size:
            frame = np.asarray(cv2.resize(frame, self._size), np.uint8)
        self._writer.write(frame)
        self.frame_count += 1

    def _open(self) -> cv2.VideoWriter:
        if not _is_utf8(str(self.path)):
            raise YolactError(f"cannot write {self.path}: OpenCV needs a folder with a name in UTF-8; choose another")
        try:
            self._partial = PartialFile(self.path)
        except OSError as failure:
            raise YolactError(f"cannot write {self.path}: {failure.strerror}; choose another --output") from failure
        # MPEG-4 part 2 is in every build of OpenCV; H.264 is not, for its licence.
        writer = cv2.VideoWriter(str(self._partial.path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
        if not writer.isOpened():
            self._partial.close()
            raise YolactError(f"cannot write {self.path}: OpenCV has no MP4 encoder here or the folder is gone")
        return writer

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None or self._partial is None:
            return
        with self._partial as partial:
            self._writer.release()
            if not _holds_frames(partial.path, self.frame_count):
                raise YolactError(
                    f"cannot write {self.path}: the video of {self.frame_count} frames cannot be read back; free space "
                    "or choose another --output"
                )
            try:
                partial.commit()
            except OSError as failure:
                raise YolactError(f"cannot write {self.path}: {failure.strerror}") from failure
            self.is_saved = True


def _holds_frames(path: Path, count: int) -> bool:
    """Whether a video has so many frames, down to the last. OpenCV's writer reports no failure, such as a full disk.

    It may have one more, where Ctrl-C came between writing and counting that.
    """
    if not _has_index(path):
        return False
    capture = cv2.VideoCapture(str(path), _stream_backend())
    try:
        if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_COUNT) < count:
            return False
        capture.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        return bool(capture.grab())
    finally:
        capture.release()


def _has_index(path: Path) -> bool:
    """Whether an MP4 has its box ``moov``, which is written last. Of a file without it FFmpeg prints what it thinks."""
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:
            if head[4:8] == b"moov":
                return True
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:], "big") if size == 1 else size  # of more than 4 GiB
            if size < 8:
                return False
            file.seek(size - len(head), os.SEEK_CUR)
    return False


def _stream_backend() -> int:
    """FFmpeg where OpenCV has it. Left to itself OpenCV tries others after it, which print what they think of it."""
    return cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends() else cv2.CAP_ANY


def _is_utf8(name: str) -> bool:
    """Whether a name from the file system is text; OpenCV's videoio crashes where it is other bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
