"""Fetches image files from http(s) servers, which may be slow, silent, or send without end."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from email.message import Message
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from types import TracebackType
from typing import IO, Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from yolact.runtime.errors import ImageError
from yolact.runtime.fields import shown

SCHEMES = ("http", "https")
"""Schemes of URLs that are downloaded, and that a server may redirect to."""

MAX_BYTES = 256 << 20
"""Larger answers are refused: no photograph needs them, and an endless stream must not fill the memory."""

ANSWER_SECONDS = 30.0
"""Time for a server to begin its answer, with all others that it redirects to; and the longest silence afterwards."""

TOTAL_SECONDS = 300.0
"""Time for the whole answer."""

LEAST_SPEED = 1024
"""Bytes a second on average, asked for once `PATIENCE` seconds have gone."""

PATIENCE = 10.0

_PIECE = 1 << 16
_TOO_SLOW = "the server takes too long; try again later, or download it first"

# Streams: MPEG-DASH and HLS playlists, and the motion JPEG of network cameras.
_VIDEO_TYPES = ("video/", "multipart/x-mixed-replace", "application/dash+xml", "application/vnd.apple.mpegurl")


def without_credentials(url: str) -> tuple[str, str]:
    """A URL without the ``user:password@`` before its host, which no message may show, and what stood there."""
    found = re.match(r"([^/?#]*//)([^/?#]*)@", url)
    return (found[1] + url[found.end() :], unquote(found[2])) if found else (url, "")


def download_image(url: str) -> bytes | None:
    """Fetch the bytes of an image file, or None where the server says that it is a video.

    A user and password in the URL are told to its server, and to none that it redirects to.
    Raises ImageError where the server cannot be reached, refuses, is too slow, or sends too little or too much.
    """
    url, credentials = without_credentials(url)
    with Connections() as connections:
        try:
            answer = open_answer(url, credentials, connections)
            with answer, connections.cut_after(TOTAL_SECONDS):
                if answer.headers.get("Content-Type", "").lower().startswith(_VIDEO_TYPES):
                    return None
                announced = announced_length(answer.headers, url)
                data = _read(answer, url) if announced <= MAX_BYTES else b""
        except (OSError, HTTPException, ValueError) as error:
            raise ImageError(f"{url}: {why_it_failed(error, connections.were_cut)}") from error
    if max(announced, len(data)) > MAX_BYTES:
        raise ImageError(f"{url}: expected an image, got more than {MAX_BYTES >> 20} MiB")
    if connections.were_cut:
        raise ImageError(f"{url}: {_TOO_SLOW}")
    if len(data) < announced:
        raise ImageError(f"{url}: the connection ended after {len(data)} of {announced} bytes; try again")
    return data


def open_answer(url: str, credentials: str, connections: Connections) -> HTTPResponse:
    """A server's answer to a URL without user and password; `credentials` are told to this server alone.

    Raises OSError, HTTPException or ValueError where there is none; `why_it_failed` has the words.
    """
    # Servers want spaces and non-ASCII letters escaped; what is escaped already stays.
    request = Request(
        quote(url, safe=":/?#[]@!$&'()*+,;=%~", errors="surrogateescape"), headers={"User-Agent": "yolact-infer"}
    )
    if credentials:
        encoded = b64encode(credentials.encode("utf-8", "surrogateescape")).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    with connections.cut_after(ANSWER_SECONDS):
        return cast(HTTPResponse, _opener(connections).open(request, timeout=ANSWER_SECONDS))


def announced_length(headers: Message, url: str) -> int:
    """The bytes that an answer announces, 0 where it does not. Raises ImageError where that cannot be read."""
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        coding = headers.get(name, plain)
        if coding.strip().lower() != plain:
            raise ImageError(f"{url}: the server sends it compressed, as {shown(coding)}; download it first")
    length = (headers.get("Content-Length") or "0").strip()
    if not re.fullmatch(r"[0-9]{1,100}", length):
        raise ImageError(
            f"{url}: expected a number of bytes, got the announced length {shown(length)}; download it first"
        )
    return int(length)


def why_it_failed(error: Exception, was_cut: bool) -> str:
    """A piece of a sentence about a download."""
    if was_cut or isinstance(getattr(error, "reason", error), TimeoutError):
        return _TOO_SLOW
    if isinstance(error, HTTPError):
        if str(error.reason).startswith(HTTPRedirectHandler.inf_msg):
            return "the server redirects from address to address without end; give the address of the image itself"
        return f"the server answered {error.code} {error.reason}".rstrip()
    if isinstance(error, RemoteDisconnected):
        return "the server ended the connection without an answer; try again"
    if isinstance(error, BadStatusLine):
        return f"expected an answer in HTTP, got {shown(str(error))}; is this the address of a web server?"
    if isinstance(error, IncompleteRead):
        return "the connection ended before the image did, or the server sent pieces of damaged lengths; try again"
    if isinstance(error, URLError):
        return f"cannot be reached ({error.reason})"
    return f"the download failed ({error or type(error).__name__})"


def _read(answer: HTTPResponse, url: str) -> bytes:
    """The answer, or a little more than the most that is taken. Raises ImageError where it comes too slowly."""
    data, start = bytearray(), time.monotonic()
    while len(data) <= MAX_BYTES and (piece := answer.read1(_PIECE)):
        data += piece
        check_speed(len(data), time.monotonic() - start, url)
    return bytes(data)


def check_speed(received: int, seconds: float, url: str) -> None:
    """Raise ImageError where so many bytes in so many seconds are too few."""
    if seconds > PATIENCE and received < LEAST_SPEED * seconds:
        raise ImageError(
            f"{url}: the server sends less than {LEAST_SPEED} bytes a second; try again later, or download it first"
        )


class Connections:
    """The connections of one download, which can be cut from outside: a socket's own time limit holds for each read.

    Attributes:
        were_cut: whether they were cut.
    """

    def __init__(self) -> None:
        self.were_cut = False
        self._sockets: list[socket.socket] = []

    def create(self, *arguments: Any, **options: Any) -> socket.socket:
        """A connection, as `socket.create_connection` makes it."""
        made = socket.create_connection(*arguments, **options)
        self._sockets.append(made.dup())  # a handshake of TLS takes the other one away
        return made

    def opening(self, kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:
        """An HTTP connection that will be among these."""
        connection: Any = kind(host, **options)
        connection._create_connection = self.create
        return cast(HTTPConnection, connection)

    @contextlib.contextmanager
    def cut_after(self, seconds: float) -> Iterator[None]:
        """Cut all connections where the context lasts longer."""
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def cut(self) -> None:
        """End them all; a reader sees the end of the data."""
        self.were_cut = True
        for one in self._sockets:
            with contextlib.suppress(OSError):  # the server was quicker
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._sockets:
            one.close()


class _PlainHandler(HTTPHandler):
    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connect: Any = functools.partial(connections.opening, HTTPConnection)

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connect, req)


class _SecureHandler(HTTPSHandler):
    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connect: Any = functools.partial(connections.opening, HTTPSConnection)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connect, req)


class _WebRedirects(HTTPRedirectHandler):
    """Refuses redirects to other schemes; Python itself would follow them to ftp."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme.lower() not in SCHEMES:
            raise URLError(f"the server redirects to {newurl}, which is neither http nor https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener(connections: Connections) -> OpenerDirector:
    """Opens http and https alone, through the proxies of the environment."""
    opener = OpenerDirector()
    for handler in (
        *(ProxyHandler(), UnknownHandler(), HTTPDefaultErrorHandler(), _WebRedirects(), HTTPErrorProcessor()),
        *(_PlainHandler(connections), _SecureHandler(connections)),
    ):
        opener.add_handler(handler)
    return opener
