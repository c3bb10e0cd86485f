"""Images over HTTP."""

from __future__ import annotations

from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from yolact.runtime.errors import ImageError

MAX_BYTES = 256 << 20
"""Larger answers are refused: no photograph needs them, and an endless stream must not fill the memory."""

_TIMEOUT_SECONDS = 30
# Streams: MPEG-DASH and HLS playlists, and the motion JPEG of network cameras.
_VIDEO_TYPES = ("video/", "multipart/x-mixed-replace", "application/dash+xml", "application/vnd.apple.mpegurl")


def download_image(url: str) -> bytes | None:
    """Fetch the bytes of an image file, or None where the server says that it is a video.

    Raises ImageError where the server cannot be reached, refuses, or sends too little or too much.
    """
    # Servers want spaces and non-ASCII letters escaped; what is escaped already stays.
    request = Request(quote(url, safe=":/?#[]@!$&'()*+,;=%~"), headers={"User-Agent": "yolact-infer"})
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            if answer.headers.get("Content-Type", "").lower().startswith(_VIDEO_TYPES):
                return None
            announced = int(answer.headers.get("Content-Length") or 0)
            data: bytes = answer.read(MAX_BYTES + 1) if announced <= MAX_BYTES else b""
    except HTTPError as error:
        raise ImageError(f"{url}: the server answered {error.code} {error.reason}") from error
    except URLError as error:
        raise ImageError(f"{url}: cannot be reached ({error.reason})") from error
    except (OSError, HTTPException, ValueError) as error:
        raise ImageError(f"{url}: the download failed ({error or type(error).__name__})") from error
    if max(announced, len(data)) > MAX_BYTES:
        raise ImageError(f"{url}: expected an image, got more than {MAX_BYTES >> 20} MiB")
    if len(data) < announced:
        raise ImageError(f"{url}: the connection ended after {len(data)} of {announced} bytes; try again")
    return data
