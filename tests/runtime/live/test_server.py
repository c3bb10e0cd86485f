"""The server of live pictures: several viewers, slow ones, such as go away, and requests that nobody should make."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse

import cv2
import numpy as np
import pytest
from waiting import wait_until

from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.live import requests
from yolact.runtime.live import server as servers
from yolact.runtime.live.address import Address
from yolact.runtime.live.figures import Figures
from yolact.runtime.live.server import PageServer

ANY = Address("127.0.0.1", 0)


@pytest.fixture
def server() -> Iterator[PageServer]:
    made = PageServer(ANY)
    yield made
    made.close()


def gray(level: int, size: int = 32) -> Image:
    return np.full((size, size, 3), level, np.uint8)


def figures(frame: int) -> Figures:
    return Figures("camera", frame, frame / 10, 9.5, 20, 21, 90, 3, {"<b>dog</b>": 2})


def ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", server.address.port, timeout=30)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


class Viewer:
    """Reads the pictures, of which it knows the level."""

    def __init__(self, server: PageServer) -> None:
        self.answer = ask(server, "/pictures")
        assert self.answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
        assert self.line() == b"--picture\r\n"

    def line(self) -> bytes:
        return self.answer.fp.readline()

    def level(self) -> int:
        lines = [*iter(self.line, b"\r\n")]
        assert lines[0] == b"Content-Type: image/jpeg\r\n"
        jpeg = self.answer.fp.read(int(lines[1].split()[1]))
        assert self.line() + self.line() == b"\r\n--picture\r\n"
        return round(float(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean()) / 10)


def test_every_viewer_sees_every_picture_that_it_has_time_for(server: PageServer) -> None:
    viewers = [Viewer(server) for _ in range(3)]
    for level in (3, 7, 12):
        server.show(gray(10 * level), figures(level))
        assert [viewer.level() for viewer in viewers] == [level] * 3
    assert Viewer(server).level() == 12, "who comes later sees the newest at once"


def test_a_slow_viewer_delays_nobody_and_goes_on_with_the_newest(server: PageServer) -> None:
    slow, quick = Viewer(server), Viewer(server)
    random = np.random.default_rng(1)
    for _ in range(30):  # far more than the connection holds
        noise = random.integers(0, 50, (500, 700, 3)).astype(np.uint8)
        server.show(noise, figures(0))
        assert quick.level() in (2, 3)
    server.show(gray(200), figures(1))
    assert quick.level() == 20
    seen = 0
    while slow.level() != 20:
        seen += 1
    assert seen < 25


def test_a_picture_is_encoded_once_and_only_for_viewers(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, encode = list[int](), cv2.imencode
    monkeypatch.setattr(cv2, "imencode", lambda *given: encoded.append(1) or encode(*given))
    server.show(gray(10), figures(0))
    assert encoded == []
    viewers = [Viewer(server) for _ in range(4)]
    assert [viewer.level() for viewer in viewers] == [1] * 4 and len(encoded) == 1


def test_viewers_that_go_away_are_forgotten(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_REPEAT_SECONDS", 0.02)
    server.show(gray(10), figures(0))
    viewers = [Viewer(server) for _ in range(3)]
    wait_until(lambda: json.loads(server.figures())["viewers"] == 3)
    for viewer in viewers[:2]:
        viewer.answer.close()
    del viewer, viewers[:2]
    wait_until(lambda: json.loads(server.figures())["viewers"] == 1)
    assert viewers[0].level() == 1


def test_figures(server: PageServer) -> None:
    assert json.loads(ask(server, "/figures.json").read()) == {"viewers": 0}
    server.show(gray(0), figures(4))
    assert json.loads(ask(server, "/figures.json?again").read()) == {
        "source": "camera",
        "frame": 4,
        "time": 0.4,
        "fps": 9.5,
        "latency": 20,
        "median": 21,
        "percentile": 90,
        "dropped": 3,
        "counts": {"<b>dog</b>": 2},
        "viewers": 0,
    }


def test_the_page_needs_nothing_from_elsewhere(server: PageServer) -> None:
    for path, kind in {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}.items():
        answer = ask(server, path)
        text = answer.read().decode()
        assert answer.status == 200 and answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert "http:" not in text and "https:" not in text and "style=" not in text and "onclick" not in text
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


REFUSED = {
    "unknown path": ("/none", "GET", {}, 404),
    "a file beside the page": ("/../server.py", "GET", {}, 404),
    "half a URL": ("//[", "GET", {}, 404),
    "unknown path, HEAD": ("/none", "HEAD", {}, 404),
    "another method": ("/", "POST", {}, 501),
    "a name that another server gave this address": ("/pictures", "GET", {"Host": "evil.example:80"}, 421),
    "no name": ("/figures.json", "GET", {"Host": "["}, 421),
}


@pytest.mark.parametrize("title", REFUSED)
def test_refused(server: PageServer, title: str) -> None:
    path, method, headers, status = REFUSED[title]
    answer = ask(server, path, method, **headers)
    body = answer.read()
    assert answer.status == status and "Content-Security-Policy" in answer.headers
    assert b"<" not in body and (body == b"") == (method == "HEAD")


@pytest.mark.parametrize("path", ["/", "/figures.json", "/pictures"])
def test_head_has_no_body(server: PageServer, path: str) -> None:
    server.show(gray(0), figures(0))
    answer = ask(server, path, "HEAD", Host="localhost")
    assert answer.status == 200 and answer.read() == b""


def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MOST_CONNECTIONS", 2)
    server = PageServer(ANY)
    server.show(gray(10), figures(0))
    viewers = [Viewer(server), Viewer(server)]
    with pytest.raises(OSError):
        ask(server, "/figures.json")
    assert [viewer.level() for viewer in viewers] == [1, 1]
    server.close()


def test_closing_ends_all_answers(server: PageServer) -> None:
    server.show(gray(10), figures(0))
    viewer, waiting = Viewer(server), socket.create_connection(("127.0.0.1", server.address.port))
    assert viewer.level() == 1
    server.close()
    assert viewer.line() == b""
    with pytest.raises(OSError):
        ask(server, "/")
    waiting.close()
    assert "yolact server" not in [thread.name for thread in threading.enumerate()]


def taken() -> tuple[Address, Callable[[], None]]:
    other = socket.create_server(("127.0.0.1", 0))
    return Address("127.0.0.1", other.getsockname()[1]), other.close


WRONG_PLACES = {
    "in use": taken,
    "a name that nobody has": lambda: (Address("nobody.invalid", 8080), lambda: None),
    "an address of another machine": lambda: (Address("192.0.2.7", 8080), lambda: None),
}


@pytest.mark.parametrize("title", WRONG_PLACES)
def test_where_it_cannot_listen(title: str) -> None:
    address, close = WRONG_PLACES[title]()
    with pytest.raises(YolactError, match=rf"--serve: cannot listen at {address} \(.+\); choose another HOST:PORT"):
        PageServer(address)
    close()


@pytest.mark.parametrize(("host", "is_warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_a_warning_where_others_can_reach_it(host: str, is_warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        PageServer(Address(host, 0)).close()
    assert ("nothing asks for a password" in caplog.text) == is_warned


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:8080", "0.0.0.0:65535", "[::1]:80", "a-b.example:1"])
def test_addresses(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "8080", ":8080", "film.mp4", "host", "host:", "host:x", "host:65536", "::1:80", "http://host:80", "a b:1"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected HOST:PORT such as 127\.0\.0\.1:8080, got "):
        Address.parse(text)
