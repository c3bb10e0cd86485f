"""Reads frames from video files and streams by PyAV, FFmpeg's libraries: each with the time at which it is shown."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from yolact.runtime.errors import ImageError
from yolact.runtime.images.pixel_limit import check_pixels
from yolact.runtime.video.damage import Damage
from yolact.runtime.video.frame_clock import FrameClock
from yolact.runtime.video.frames import DEFAULT_FPS, MAX_FPS, Frame, Video
from yolact.runtime.video.interruptible import Ended, Waiting
from yolact.runtime.video.pixels import to_image
from yolact.runtime.wording import one_line

T = TypeVar("T")

OPEN_SECONDS = 30.0
"""Time for a server to begin."""

SILENT_SECONDS = 20.0
"""The longest silence of a server afterwards."""

_STRICT = ("mpeg4", "mpeg1video", "mpeg2video", "h263", "mjpeg")
"""Codecs whose decoders make up missing parts silently, unless they are told to fail."""


PLAYLISTS = (".m3u8", ".mpd")
"""Playlists name other files, so FFmpeg has to know where a playlist lies."""

_WITHOUT_LENGTH = ("mpegts", "mpeg", "h264", "hevc", "mjpeg", "mpjpeg", "m4v", "mpegvideo", "gif", "rtsp", "flv")
"""Containers that do not announce their length: FFmpeg only estimates it."""


_UNREADABLE = "this cannot be opened as a video; it is truncated, damaged, or in no format FFmpeg reads"


class ByteSource(Protocol):
    """A source of bytes: a file, a pipe, or the answer of a server.

    Attributes:
        failure: why it ended before its end, None where it did not.
    """

    failure: ImageError | None

    def read(self, size: int) -> bytes: ...

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class VideoReader(Video):
    """A video file, or a stream."""

    def __init__(
        self,
        location: Path | str | ByteSource,
        name: str,
        *,
        is_live: bool = False,
        may_wait: bool = False,
        announces_end: bool = True,
        format: str | None = None,
    ) -> None:
        """Open a file (Path), a URL that FFmpeg knows (str), or a source of bytes.

        Args:
            location: see above.
            name: its name in errors.
            is_live: it has no end of its own, so any end is an error.
            may_wait: reading may wait for others, as for a server or the other end of a pipe.
            announces_end: False for a stream, which has no end unless it says how long it is.
            format: FFmpeg's name of the container, None where the bytes tell.

        Raises ImageError where that fails.
        """
        self.name, self.is_live, self.may_wait = name, is_live, may_wait
        self._source = None if isinstance(location, (Path, str)) else location
        interrupt = None if self._source is None else self._source.interrupt
        self._waiting = Waiting(interrupt) if may_wait else None
        self._file: BinaryIO | None = None
        if self._source is None and _suffix(str(location)) == ".mpd":
            check_dash(name)
        try:
            if isinstance(location, Path) and _suffix(str(location)) not in PLAYLISTS:
                self._file = self._call(lambda: cast(BinaryIO, location.open("rb", buffering=0)))
            self._container = self._call(lambda: _open(self._file or location, format))
            self._stream = self._find_stream()
        except BaseException:
            self.close()
            raise
        self._describe(is_live, announces_end)
        self.is_live |= may_wait and self.frame_count is None
        self.sound = location if isinstance(location, Path) and self._container.streams.audio else None

    def _describe(self, is_live: bool, announces_end: bool) -> None:
        """Note the rate and length."""
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.fps = rate if 0 < rate <= MAX_FPS else DEFAULT_FPS
        self._announced = None if is_live else _announced_seconds(self._container, self._stream)
        count = self._stream.frames or round((self._announced or 0) * self.fps)
        self.frame_count = None if is_live or count <= 0 else count
        self._is_endless = is_live or (not announces_end and self.frame_count is None)

    def _call(self, function: Callable[[], T]) -> T:
        try:
            return self._waiting.call(function) if self._waiting is not None else function()
        except Ended:
            raise ImageError(f"{self.name}: it was closed while it was read") from None
        except (av.error.FFmpegError, OSError) as error:
            if self._source is not None and self._source.failure is not None:
                raise self._source.failure from error
            raise ImageError(f"{self.name}: {_reason(error)}") from error

    def _find_stream(self) -> VideoStream:
        stream = self._container.streams.best("video")
        if len(self._container.streams) == 0:
            raise ImageError(f"{self.name}: {_UNREADABLE}")
        if not isinstance(stream, VideoStream):
            raise ImageError(f"{self.name}: expected a video, got a file without pictures")
        if getattr(stream, "codec_context", None) is None:
            raise ImageError(f"{self.name}: PyAV has no decoder for the codec of this video; convert it to H.264")
        check_pixels(self.name, "video", stream.codec_context.width, stream.codec_context.height)
        stream.thread_type = "SLICE" if self.is_live else "AUTO"  # threads by frames would hold frames back
        if stream.codec_context.name in _STRICT:
            stream.codec_context.options = {"err_detect": "explode"}
        return stream

    def __iter__(self) -> Iterator[Frame]:
        frames = self._decoded()
        while (frame := self._call(lambda: next(frames, None))) is not None:
            yield frame

    def _decoded(self) -> Iterator[Frame]:
        stream = self._stream
        clock = FrameClock(self._container, stream, self.fps, self.is_live)
        damage = Damage(stream.codec_context.name)
        is_playlist = self._container.format.name.startswith("hls")
        count = packets = 0
        failure: ImageError | None = None
        for packet, broken in self._packets():
            failure = broken or failure
            due = clock.due(packet)
            if packet is not None:
                packets += 1
                if packet.is_corrupt:
                    damage.note(due)
                if not packet.is_discard:
                    damage.expect(due)
            try:
                decoded = stream.codec_context.decode(packet)
            except av.error.FFmpegError:
                damage.note(due)
                continue
            for one in decoded:
                before, now = clock.reached, clock.show(one)
                if is_playlist and clock.pause > max(0.5, 5 / self.fps):  # FFmpeg leaves out what it cannot fetch
                    damage.note(before)
                    damage.note(now)
                damage.show(now, one.is_corrupt, bool(one.interlaced_frame))
                check_pixels(self.name, "frame", one.width, one.height)  # a stream may change its size
                yield Frame(to_image(one), max(now, 0.0), count)
                count += 1
        self._check_end(count, packets, clock, failure, damage.describe())

    def _packets(self) -> Iterator[tuple[Packet[VideoStream] | None, ImageError | None]]:
        """Packets of the video, and None at their end, with the error that broke them off."""
        failure = None
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    yield packet, None
        except (av.error.FFmpegError, OSError) as error:
            failure = ImageError(f"{self.name}: {_reason(error)}")
        yield None, (self._source.failure if self._source is not None else None) or failure

    def _check_end(self, count: int, packets: int, clock: FrameClock, failure: ImageError | None, damage: str) -> None:
        """Raise ImageError where the video did not end as it should."""
        if count == 0:
            raise failure or ImageError(f"{self.name}: no frame of this video can be decoded; copy or record it again")
        if failure is not None:
            raise ImageError(f"{failure}; it broke off at {clock.reached:.2f} s, after {count} frames")
        if self._is_endless:
            raise ImageError(
                f"{self.name}: the stream ended without notice at {clock.reached:.2f} s, after {count} frames"
            )
        damage = "" if self.is_live or not damage else f"damaged at {damage}: frames there are missing or wrong"
        total = self._stream.frames
        announced = self._announced
        if total and self._container.format.name == "avi":  # a frame may stand for several, without bytes of their own
            announced = float(total * (self._stream.time_base or 0))
        is_early = announced is not None and (
            clock.reached + 0.02 * announced + 2 * max(clock.longest, 1 / self.fps) < announced
        )
        if total:  # an edit list may leave frames out
            is_early = is_early and packets < 0.98 * total - 1
        early = ""
        if is_early:
            early = (
                f"after {count} of {total} frames" if total else f"at {clock.reached:.2f} s of {announced or 0:.2f} s"
            )
        if early:
            raise ImageError(f"{self.name}: the video ends {early}; copy it again")
        if damage:
            raise ImageError(f"{self.name}: the video is {damage}; copy it again")

    def close(self) -> None:
        if self._waiting is None:
            self._let_go()
        else:
            self._waiting.end(self._let_go)

    def _let_go(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never opened
            self._container.close()
        for file in (self._file, self._source):
            if file is not None:
                file.close()


def check_dash(name: str) -> None:
    """Raise ImageError where this PyAV cannot read DASH (`.mpd`), as its wheels cannot; FFmpeg needs libxml2 for it."""
    try:
        av.format.ContainerFormat("dash", "r")
    except ValueError:
        raise ImageError(
            f"{name}: this PyAV reads no DASH playlists; give the stream's HLS playlist (.m3u8), or build PyAV with an "
            "FFmpeg that has libxml2"
        ) from None


def _suffix(location: str) -> str:
    return PurePosixPath(urlsplit(location).path if "://" in location else location).suffix.lower()


def _open(location: Path | str | ByteSource | BinaryIO, format: str | None) -> InputContainer:
    options = {"rtsp_transport": "tcp"} if isinstance(location, str) else {}  # lost datagrams would be grey blocks
    start = time.monotonic()
    try:
        return _open_within(location, format, options)
    except av.error.FFmpegError as error:  # some protocols call a timeout something else
        if isinstance(location, str) and time.monotonic() - start >= OPEN_SECONDS:
            raise TimeoutError from error
        raise


def _open_within(
    location: Path | str | ByteSource | BinaryIO, format: str | None, options: dict[str, str]
) -> InputContainer:
    return av.open(
        f"file:{location}" if isinstance(location, Path) else location,
        "r",
        format=format,
        options=options,
        metadata_errors="replace",
        timeout=(OPEN_SECONDS, SILENT_SECONDS),
    )


def _announced_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The announced length of the video, None where it announces none."""
    if container.format.name.split(",")[0] in _WITHOUT_LENGTH:
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = re.match(r"(\d+):(\d+):(\d+(\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska
    if tag:
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    return container.duration / av.time_base if container.duration and not container.streams.audio else None


def _reason(error: Exception) -> str:
    """Why FFmpeg could not go on, as a piece of a sentence."""
    answer = re.match(r"Server returned (.*)", getattr(error, "strerror", None) or "")
    if answer:
        return f"the server answered {answer[1]}"
    if isinstance(error, (av.error.ExitError, TimeoutError)):
        return "the server takes too long; try again later"
    if isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return _UNREADABLE
    if isinstance(error, ConnectionError):
        return f"cannot be reached ({error.strerror}); is the server running?"
    if isinstance(error, (av.error.DecoderNotFoundError, av.error.PatchWelcomeError)):
        return "PyAV has no decoder for the codec of this video; convert it to H.264"
    return f"cannot be read ({one_line(getattr(error, 'strerror', None) or error)})"
