"""Images and videos from a real HTTP server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from yolact.runtime.errors import ImageError
from yolact.runtime.images import sources as download
from yolact.runtime.images.sources import expand_source
from yolact.runtime.images.video import VideoReader

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
PNG = cv2.imencode(".png", IMAGE)[1].tobytes()


class Handler(BaseHTTPRequestHandler):
    """Answers by the path that is asked for."""

    def do_GET(self) -> None:
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
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def open_url(url: str) -> np.ndarray | VideoReader:
    (source,) = expand_source(url)
    return source.open()


@pytest.mark.parametrize("path", ["/image", "/unannounced", "/old.png", "/a%20cat%C3%A9.png", "/a caté.png"])
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
        ("/film.mp4", "cannot be opened as a video"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_address(server: str, path: str, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        open_url(server + path)
    assert str(caught.value).startswith(server + path)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ImageError, match="cannot be reached"):
        open_url("http://127.0.0.1:9/image.png")


@pytest.mark.parametrize("path", ["/image", "/unannounced"])
def test_an_answer_over_the_limit_is_not_read(server: str, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", len(PNG) - 1)
    with pytest.raises(ImageError, match="more than"):
        open_url(server + path)
