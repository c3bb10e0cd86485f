"""Writes annotated videos as MP4 by PyAV: each frame at its time, in a codec that browsers play."""

from __future__ import annotations

import signal
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from yolact.runtime.errors import ImageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.partial_file import PartialFile
from yolact.runtime.signals import HeldSignals
from yolact.runtime.video.encoders import VideoCodec, find_encoder
from yolact.runtime.video.sound import Sound

_TICKS = 90_000
"""Parts of a second that times are rounded to."""

# Pieces of a second while it is written, so that the file of a killed process plays; a usual MP4 once it is closed.
_CONTAINER = {
    "movflags": "+hybrid_fragmented+default_base_moof",
    "frag_duration": "1000000",
    "flush_packets": "1",
}


class VideoFile:
    """An MP4 being written. On leaving the context, whatever the reason, it is closed and gets its name.

    Attributes:
        path: its name.
        frame_count: frames written so far.
        is_saved: whether it has its name.
    """

    def __init__(self, path: Path, fps: float, codec: VideoCodec | None = None, sound: Path | None = None) -> None:
        """Nothing is created before the first frame.

        Args:
            path: to be written.
            fps: frames per second, where frames come without times.
            codec: None for the first one that this PyAV encodes.
            sound: a file whose sound is copied.

        Raises UsageError where PyAV has no encoder.
        """
        self.path = path
        self.frame_count = 0
        self.is_saved = False
        self._fps = fps
        self._encoder, self._options = find_encoder(codec)
        self._sound_file = sound
        self._sound: Sound | None = None
        self._partial: PartialFile | None = None
        self._container: OutputContainer | None = None
        self._size = (0, 0)
        self._last = -1

    def write(self, frame: Image, time: float | None = None) -> None:
        """Append a frame. One of another size than the first is stretched to it.

        Where its height or width is odd, the last row or column is repeated: codecs halve the resolution of colours.

        Args:
            frame: (H, W, 3) uint8 BGR.
            time: seconds from the beginning, later than that of the frame before; None for the next by `fps`.

        Raises:
            ImageError: the encoder takes no frames of this size.
            YolactError: the file cannot be written.
        """
        if self._container is None:
            self._size = (frame.shape[1], frame.shape[0])
            self._container = self._open()
        if frame.shape[1::-1] != self._size:
            frame = np.asarray(cv2.resize(frame, self._size), np.uint8)
        ticks = round(_TICKS * (self.frame_count / self._fps if time is None else time))
        self._last = max(ticks, self._last + 1)
        with HeldSignals((signal.SIGINT,)):  # a frame that was encoded and not written would spoil those after it
            try:
                self._encode(_padded(frame))
            except (av.error.FFmpegError, OSError) as failure:
                raise self._failure(failure) from failure
            self.frame_count += 1

    def _encode(self, image: Image | None) -> None:
        """Encode and write a frame, or what the encoder holds back where it is None."""
        assert self._container is not None
        frame = None
        if image is not None:
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        if self._sound is not None:
            self._sound.copy_until(self._last / _TICKS)

    def _open(self) -> OutputContainer:
        try:
            self._partial = PartialFile(self.path)
        except OSError as failure:
            raise YolactError(f"cannot write {self.path}: {failure.strerror}; choose another --output") from failure
        try:
            container = av.open(f"file:{self._partial.path}", "w", format="mp4", container_options=dict(_CONTAINER))
        except UnicodeEncodeError:
            raise YolactError(f"cannot write {self.path}: its folder has no name in UTF-8; choose another") from None
        except OSError as failure:
            raise self._failure(failure) from failure
        self._stream = self._add_stream(container)
        try:
            self._sound = None if self._sound_file is None else Sound(self._sound_file, container)
        except (av.error.FFmpegError, ValueError, OSError) as failure:
            container.close()
            raise ImageError(
                f"cannot write {self.path}: the sound of {self._sound_file} does not go into an MP4 ({failure}); "
                "leave out --audio"
            ) from failure
        try:
            container.start_encoding()
        except (av.error.FFmpegError, ValueError) as failure:
            container.close()
            raise ImageError(
                f"cannot write {self.path}: FFmpeg makes no video of {self._size[0]}x{self._size[1]} pixels by "
                f"{self._encoder} ({failure})"
            ) from failure
        return container

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        rate = Fraction(self._fps).limit_denominator(1001)
        stream = cast(VideoStream, container.add_stream(self._encoder, rate=rate, options=dict(self._options)))
        width, height = self._size
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.gop_size = max(1, round(2 * self._fps))  # a beginning every two seconds, for jumping
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # 16 to 235
        return stream

    def _failure(self, error: Exception) -> YolactError:
        reason = getattr(error, "strerror", None) or error
        return YolactError(f"cannot write {self.path}: {reason}; free space or choose another --output")

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._partial is None:
            return
        with self._partial as partial:
            if self._container is None:
                return
            is_failed = isinstance(error, YolactError) and str(error).startswith(f"cannot write {self.path}")
            try:
                if not is_failed:
                    self._encode(None)
                self._container.close()
                if not is_failed and self.frame_count:
                    partial.commit()
                    self.is_saved = True
            except (av.error.FFmpegError, OSError) as failure:
                if not is_failed:
                    raise self._failure(failure) from failure
            finally:
                if self._sound is not None:
                    self._sound.close()


def _padded(image: Image) -> Image:
    height, width = image.shape[:2]
    if height % 2 == width % 2 == 0:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
