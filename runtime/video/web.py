"""Videos on web servers: files that can be read in parts, files that come whole, and streams."""

from __future__ import annotations

import tempfile
import time
from http.client import HTTPException
from pathlib import PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from yolact.runtime.errors import ImageError
from yolact.runtime.images import download
from yolact.runtime.images.download import (
    Connections,
    announced_length,
    check_speed,
    open_answer,
    why_it_failed,
    without_credentials,
)
from yolact.runtime.video.reader import PLAYLISTS, VideoReader, check_dash

_DASH = "application/dash+xml"
_PLAYLIST_TYPES = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", _DASH)
_PIECE = 1 << 16


def open_web_video(url: str, name: str) -> VideoReader:
    """Open the video at a URL of http or https. Raises ImageError where that fails.

    FFmpeg fetches playlists, and files of servers that send parts of them. Other files are downloaded first, as their
    index may be at their end.
    """
    if PurePosixPath(urlsplit(url).path).suffix.lower() in PLAYLISTS:
        return VideoReader(url, name, may_wait=True, announces_end=False)
    body = WebBody(url)
    if body.kind.startswith(_DASH):
        body.close()
        check_dash(name)
    if body.kind.startswith(_PLAYLIST_TYPES) or (body.length and body.has_parts):
        body.close()
        return VideoReader(url, name, may_wait=True, announces_end=not body.kind.startswith(_PLAYLIST_TYPES))
    if body.kind.startswith("multipart/"):
        return VideoReader(body, name, is_live=True, may_wait=True, format="mpjpeg")
    if body.length:
        return VideoReader(DownloadedFile(body), name)
    return VideoReader(body, name, may_wait=True, announces_end=body.is_chunked)


class WebBody:
    """The answer of a server, read as it comes.

    Attributes:
        failure: why it ended before its end, None where it did not.
        url: without user and password.
        kind: what the server says that it is, in small letters.
        length: bytes that it announces, 0 where it does not.
        has_parts: whether the server sends parts of it, too.
        is_chunked: whether it tells its end.
    """

    def __init__(self, url: str) -> None:
        """Raises ImageError where the server cannot be reached, or refuses."""
        self.url, credentials = without_credentials(url)
        self.failure: ImageError | None = None
        self._received = 0
        self._connections = Connections()
        try:
            self._answer = open_answer(self.url, credentials, self._connections)
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise ImageError(f"{self.url}: {why_it_failed(error, self._connections.were_cut)}") from error
        headers = self._answer.headers
        self.length = announced_length(headers, self.url)
        self.kind = headers.get("Content-Type", "").strip().lower()
        self.has_parts = headers.get("Accept-Ranges", "none").strip().lower() == "bytes"
        self.is_chunked = headers.get("Transfer-Encoding", "").strip().lower() == "chunked"

    def read(self, size: int) -> bytes:
        """Up to so many bytes, none at the end; `failure` then tells whether it was the end."""
        try:
            data = self._answer.read1(size)
        except (OSError, HTTPException, ValueError) as error:
            self.failure = ImageError(f"{self.url}: {why_it_failed(error, False)}")
            return b""
        self._received += len(data)
        if not data and self._received < self.length:
            self.failure = ImageError(
                f"{self.url}: the connection ended after {self._received} of {self.length} bytes; try again"
            )
        return data

    def interrupt(self) -> None:
        """Let a `read` in another thread return."""
        self._connections.cut()

    def close(self) -> None:
        self._connections.__exit__(None, None, None)


class DownloadedFile:
    """A file that a server sent, which is gone when it is closed.

    Attributes:
        failure: why there is only a part of it, None where all is there.
    """

    def __init__(self, body: WebBody) -> None:
        """Raises ImageError where it is larger than an image may be, or comes too slowly."""
        if body.length > download.MAX_BYTES:
            body.close()
            raise ImageError(
                f"{body.url}: this server sends files as a whole alone, and this one has {body.length >> 20} MiB, more "
                f"than {download.MAX_BYTES >> 20}; download it first"
            )
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, closed with the video
        received, start = 0, time.monotonic()
        try:
            while data := body.read(_PIECE):
                received += self._file.write(data)
                check_speed(received, time.monotonic() - start, body.url)
        except OSError as error:
            raise ImageError(f"{body.url}: cannot be kept in {tempfile.gettempdir()} ({error.strerror})") from error
        finally:
            body.close()
        self._file.seek(0)
        self.failure = body.failure
        self.interrupt = self._file.flush  # nobody waits for it
        self.read, self.seek, self.tell, self.close = (
            *(self._file.read, self._file.seek, self._file.tell),
            self._file.close,
        )
