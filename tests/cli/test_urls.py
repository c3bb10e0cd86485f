"""Images and videos from a real HTTP server on this machine."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import cv2
import numpy as np
import pytest
from web_serving import serving

from yolact.runtime.errors import ImageError
from yolact.runtime.images import download
from yolact.runtime.sources import expand_source
from yolact.runtime.video.reader import VideoReader

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
PNG = cv2.imencode(".png", IMAGE)[1].tobytes()


class Handler(BaseHTTPRequestHandler):
    """Answers by the path that is asked for, and notes what it is told of who asks."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        Handler.asked.append(self.headers["Authorization"])
        if self.path == "/old.png":
            self.send_response(301)
            self.send_header("Location", "/image")
            self.end_headers()
            return
        if self.path not in ("/image", "/a%20cat%C3%A9.png", "/short.png", "/page.jpg", "/film", "/unannounced"):
            self.send_error(404)
            return
        content = {"/page.jpg": b"<html>log in first</html>", "/film": b"no film after all"}.get(self.path, PNG)
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4" if self.path == "/film" else "image/png")
        if self.path != "/unannounced":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:100] if self.path == "/short.png" else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of the server, without a slash at the end."""
    with serving(Handler) as url:
        yield url


def open_url(url: str) -> np.ndarray | VideoReader:
    (source,) = expand_source(url)
    return source.open()


@pytest.mark.parametrize(
    "path", ["/image", "/unannounced", "/old.png", "/a%20cat%C3%A9.png", "/a caté.png", "/a cat\udcc3\udca9.png"]
)
def test_an_image(server: str, path: str) -> None:
    image = open_url(server + path)
    assert isinstance(image, np.ndarray)
    np.testing.assert_array_equal(image, IMAGE)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing.png", "404 Not Found"),
        ("/short.png", r"(100 of \d+ bytes|IncompleteRead\(100 bytes)"),
        ("/page.jpg", "no image in a format"),
        ("/film", "cannot be opened as a video"),
        ("/film.mp4", "the server answered 404 Not Found"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_address(server: str, path: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        open_url(server + path)
    assert str(caught.value).startswith(server + path)


class Guarded(Handler):
    """Wants to know who asks, and refers those it knows to another server."""

    other = ""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Basic " + base64.b64encode("käthe:p@ss".encode()).decode():
            self.send_error(401)
            return
        self.send_response(302)
        self.send_header("Location", f"{self.other}/image")
        self.end_headers()


def test_user_and_password_are_for_the_server_alone(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guarded, "other", server)
    with serving(Guarded) as url:
        host = url.removeprefix("http://")
        (source,) = expand_source(f"http://k%C3%A4the:p%40ss@{host}/photo.png")
        assert source.name == f"http://{host}/photo.png"
        np.testing.assert_array_equal(source.open(), IMAGE)
        assert Handler.asked[-1] is None
        with pytest.raises(ImageError, match="401") as caught:
            open_url(f"http://eve:secret@{host}/photo.png")
    assert str(caught.value).startswith(f"http://{host}/photo.png: ") and "secret" not in str(caught.value)


WITH_A_PASSWORD = [
    *("rtsp://eve:secret@127.0.0.1:9/stream", "http://eve:secret@127.0.0.1:9/film.mp4", "http://eve:secret@"),
    *("ftp://eve:secret@127.0.0.1/photo.png", "http://eve:secret@[::1/photo.png", "http://eve:se@secret@127.0.0.1:9/"),
]


@pytest.mark.parametrize("url", WITH_A_PASSWORD)
def test_no_message_shows_a_password(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImageError) as caught:
        open_url(url)
    assert "secret" not in str(caught.value) + "".join(capfd.readouterr())


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ImageError, match="cannot be reached"):
        open_url("http://127.0.0.1:9/image.png")


@pytest.mark.parametrize("path", ["/image", "/unannounced"])
def test_an_answer_over_the_limit_is_not_read(server: str, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", len(PNG) - 1)
    with pytest.raises(ImageError, match="more than"):
        open_url(server + path)


class Trickle(threading.Thread):
    """A server that answers one connection with these parts, and then a byte at a time, for ever."""

    def __init__(self, start: bytes) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}/photo.png"
        self._start_bytes = start
        self.was_left = False

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            connection.sendall(self._start_bytes)
            while True:
                connection.sendall(b"1")
                time.sleep(0.02)
        self.was_left = True


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
TRICKLES = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Name: ", "takes too long"),
    "body": (ANSWER + b"Content-Length: 100000\r\n\r\n", "sends less than 1024 bytes a second"),
    "body of unknown length": (ANSWER + b"\r\n", "sends less than 1024 bytes a second"),
    "length of a chunk": (ANSWER + b"Transfer-Encoding: chunked\r\n\r\n", "takes too long"),
}


@pytest.mark.parametrize("name", TRICKLES)
def test_a_server_that_sends_a_byte_now_and_then_is_left(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for limit, seconds in {"ANSWER_SECONDS": 0.3, "TOTAL_SECONDS": 0.5, "PATIENCE": 0.2}.items():
        monkeypatch.setattr(download, limit, seconds)
    start, reason = TRICKLES[name]
    server = Trickle(start)
    server.start()
    with pytest.raises(ImageError, match=reason) as caught:
        open_url(server.address)
    assert str(caught.value).startswith(server.address)
    server.join(5)
    assert server.was_left
    server.listener.close()


def test_an_image_that_takes_too_long_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 0.3)
    server = Trickle(ANSWER + b"Content-Length: 100000\r\n\r\n" + PNG)
    server.start()
    with pytest.raises(ImageError, match="takes too long"):
        open_url(server.address)
    server.join(5)
    server.listener.close()


class Answer(threading.Thread):
    """A server that gives each connection the same bytes."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}/photo.png"
        self._answer = answer

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1000)
                    connection.sendall(self._answer)


ODD_ANSWERS = {
    "a circle": (b"HTTP/1.1 302 Found\r\nLocation: /photo.png\r\n\r\n", "redirects from address to address without"),
    "a length below 0": (ANSWER + b"Content-Length: -5\r\n\r\n" + PNG, "number of bytes, got .* length '-5'"),
    "a length in words": (ANSWER + b"Content-Length: abc\r\n\r\n" + PNG, "number of bytes, got .* length 'abc'"),
    "a length with a point": (ANSWER + b"Content-Length: 12.0\r\n\r\n" + PNG, "number of bytes, got .* length '12.0'"),
    "a length of 31 digits": (ANSWER + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n", "more than 256 MiB"),
    "a length of 5,000 digits": (ANSWER + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "number of bytes"),
    "no status line": (PNG, "expected an answer in HTTP, got"),
    "a status of letters": (b"HTTP/1.1 abc OK\r\n\r\n", "expected an answer in HTTP, got 'HTTP/1.1 abc OK"),
    "nothing": (b"", "without an answer"),
    "gzip": (ANSWER + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(PNG), "sends it compressed, as 'gzip'"),
    "gzip on the way": (ANSWER + b"Transfer-Encoding: gzip\r\n\r\n" + gzip.compress(PNG), "compressed, as 'gzip'"),
    "a chunk of no length": (
        ANSWER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab",
        "connection ended before the image",
    ),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_an_odd_answer_is_a_sentence(name: str) -> None:
    answer, reason = ODD_ANSWERS[name]
    server = Answer(answer)
    server.start()
    with pytest.raises(ImageError, match=reason) as caught:
        open_url(server.address)
    assert str(caught.value).startswith(f"{server.address}: ") and "\n" not in str(caught.value)
    server.listener.close()


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a.png", "file:///etc/hostname", "data:image/png;base64,AA", "x:y"])
def test_a_server_refers_to_others_of_its_kind_alone(target: str) -> None:
    server = Trickle(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())
    server.start()
    with pytest.raises(ImageError, match=rf"(redirects to {target}, which is neither http nor https|is not allowed)"):
        open_url(server.address)
    server.join(5)
    server.listener.close()
