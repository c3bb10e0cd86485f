"""Opens videos wherever they are; PyAV, which is an extra, is loaded here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yolact.runtime.errors import ImageError
from yolact.runtime.images.download import SCHEMES
from yolact.runtime.packages import PackageMissing
from yolact.runtime.video.camera import Camera
from yolact.runtime.video.frames import Video

if TYPE_CHECKING:
    from yolact.runtime.video.encoders import VideoCodec
    from yolact.runtime.video.writer import VideoFile


def open_video(location: Path | str | int, name: str) -> Video:
    """Open a file or a pipe (Path; ``-`` is the standard input), a URL (str), or a camera (its index).

    Raises:
        ImageError: that cannot be opened as a video.
        PackageMissing: PyAV is not installed, which all but cameras need.
    """
    if isinstance(location, int):
        return Camera(location, name)
    try:
        from yolact.runtime.video.reader import PLAYLISTS, VideoReader
    except ModuleNotFoundError:
        raise PackageMissing(f"{name}: reading videos", "PyAV", "video") from None
    if isinstance(location, str):
        if urlsplit(location).scheme.lower() not in SCHEMES:
            return VideoReader(location, name, may_wait=True, announces_end=False)
        from yolact.runtime.video.web import open_web_video

        return open_web_video(location, name)
    is_stdin = str(location) == "-"
    if is_stdin or location.is_fifo():
        from yolact.runtime.video.pipe import Pipe

        try:
            return VideoReader(Pipe(None if is_stdin else location), name, may_wait=True)
        except OSError as error:
            raise ImageError(f"{name}: cannot be read ({error.strerror})") from error
    _check_file(location)
    return VideoReader(location, name, may_wait=location.suffix.lower() in PLAYLISTS)  # one may name servers


def _check_file(path: Path) -> None:
    """Raise ImageError where a path cannot be a video."""
    if path.exists() and not path.is_file():
        raise ImageError(f"{path}: expected a video, got neither a file nor a pipe; name the camera or stream")
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    if size == 0:
        raise ImageError(f"{path}: expected a video, got an empty file")


def create_video(path: Path, fps: float, codec: VideoCodec | None = None, sound: Path | None = None) -> VideoFile:
    """An MP4 to write frames to. Raises PackageMissing without PyAV, and as `VideoFile` does."""
    try:
        from yolact.runtime.video.writer import VideoFile
    except ModuleNotFoundError:
        raise PackageMissing("writing videos", "PyAV", "video") from None
    return VideoFile(path, fps, codec, sound)
