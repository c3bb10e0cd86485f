"""`yolact-infer --serve`: a page that a real browser shows, beside all else that the command does."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import threading
import time
from itertools import count
from pathlib import Path

import cv2
import missing
import numpy as np
import pytest
from browser import CHROMIUM, Browser
from scripted_engine import infer, read_json, start, write_engine, write_photo, write_video
from waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)


def serve_camera() -> str:
    """The address of a camera that sends ever brighter pictures, again and again, as fast as they are taken."""
    server = socket.create_server(("127.0.0.1", 0))
    pictures = [cv2.imencode(".jpg", np.full((96, 128, 3), 5 * level, np.uint8))[1].tobytes() for level in range(1, 50)]

    def send(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n")
            for number in count():
                jpeg = pictures[number % len(pictures)]
                head = b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                connection.sendall(head + jpeg + b"\r\n")
                time.sleep(0.005)

    def accept() -> None:
        with server:
            for _ in range(2):  # the first one is asked whether this is an image
                threading.Thread(target=send, args=[server.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/camera"


LEVEL = """(() => {
  const picture = document.getElementById("picture"), canvas = document.createElement("canvas");
  if (!picture?.naturalWidth) return -1;
  canvas.width = canvas.height = 1;
  const paper = canvas.getContext("2d");
  paper.drawImage(picture, 0, 90, 128, 6, 0, 0, 1, 1);
  return paper.getImageData(0, 0, 1, 1).data[1];
})()"""


@pytest.mark.skipif(CHROMIUM is None, reason=missing.CHROMIUM)
def test_a_browser_sees_the_pictures_change(here: Path) -> None:
    """And the figures, without any complaint; after Ctrl-C the page says that the run has ended."""
    run = start(write_engine(here / "any.onnx"), serve_camera(), "--serve", "127.0.0.1:0", "--json", "found.json")
    assert run.stdout is not None
    address = re.fullmatch(r"watch at (http://127\.0\.0\.1:\d+/)\n", run.stdout.readline())
    assert address is not None
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(run.stdout or []), daemon=True)
    reader.start()
    with Browser(here / "profile", 400, 800) as browser:
        browser.open(address[1])
        levels, frames = set[int](), set[str]()

        def has_changed() -> bool:
            levels.add(browser.evaluate(LEVEL))
            frames.add(browser.evaluate("document.getElementById('frame')?.textContent"))
            return len(levels - {-1}) > 2 and len(frames) > 2

        wait_until(has_changed)
        shown = browser.evaluate("document.body.innerText")
        assert "live" in shown and "person" in shown and re.search(r"FPS\s+\d+\.\d", shown)
        assert browser.evaluate("document.documentElement.scrollWidth") == 400
        assert browser.complaints == []
        run.send_signal(signal.SIGINT)
        wait_until(lambda: "the run has ended" in browser.evaluate("document.body.innerText"))
    assert run.wait(60) == 130
    reader.join()
    (dropped,) = re.findall(r"camera: \d+ ms from .*; (\d+) frames? dropped\n", "".join(told))
    rows = [row["frame"] for row in read_json(here / "found.json")]
    assert rows == sorted(set(rows)) and 0 < max(rows) + 1 - len(rows) <= int(dropped)


def test_beside_everything_else(here: Path) -> None:
    """No frame of a file is left out, and images after it are done as ever."""
    write_video(here / "film.avi", 7, (64, 48))
    write_photo(here / "photo.png")
    result = infer(
        *(write_engine(here / "any.onnx"), "film.avi", "photo.png", "--serve=127.0.0.1:0", "--json", "found.json"),
        *("--track", "--smooth", "--stride", "2", "--max-frames", "3"),
    )
    assert result.exit_code == 0, result.stderr
    assert [row.get("frame") for row in read_json(here / "found.json")] == [0, 2, 4, None]
    assert "(median of 3 frames, " in result.stdout and "; 0 frames dropped\n" in result.stdout


def test_a_port_in_use(here: Path) -> None:
    write_video(here / "film.avi", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = infer(write_engine(here / "any.onnx"), "film.avi", "--serve", f"127.0.0.1:{other.getsockname()[1]}")
    assert result.exit_code == 1 and result.stderr.endswith("(Address already in use); choose another HOST:PORT\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--serve", "film.avi"], "got 'film.avi'; put sources before --serve, or an address after it"),
        (["film.avi", "--serve", "8080"], "expected HOST:PORT such as 127.0.0.1:8080, got '8080'"),
        (["photo.png", "--serve"], "--serve is for videos, cameras and streams, got images alone"),
    ],
)
def test_wrong_usage(here: Path, arguments: list[str], reason: str) -> None:
    write_photo(here / "photo.png")
    result = infer(write_engine(here / "any.onnx"), *arguments)
    assert result.exit_code == 2 and reason in result.stderr, result.stderr
