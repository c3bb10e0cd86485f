"""`yolact-infer --show`: a window that can be closed, and what is said where there can be none."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripted_engine import infer, read_json, write_engine, write_photo, write_video

from yolact.runtime.images.arrays import Image
from yolact.runtime.live import window
from yolact.runtime.video.frames import Frame, Video


class Display:
    """Takes the place of OpenCV's windows: what they were told, and a user who does something at a picture."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, key: int = -1, closes: bool = False, at: int = 3) -> None:
        self.pictures: list[Image] = []
        self.is_open = False
        self._key, self._closes, self._at = key, closes, at
        for name in ("namedWindow", "resizeWindow", "imshow", "waitKey", "getWindowProperty", "destroyAllWindows"):
            monkeypatch.setattr(cv2, name, getattr(self, name))
        monkeypatch.setattr(window, "_check_display", lambda: None)

    def namedWindow(self, *_: object) -> None:
        self.is_open = True

    def destroyAllWindows(self) -> None:
        self.is_open = False

    def resizeWindow(self, *_: object) -> None:
        pass

    def imshow(self, _: str, picture: Image) -> None:
        self.pictures.append(picture)

    def waitKey(self, _: int) -> int:
        return self._key if len(self.pictures) >= self._at else -1

    def getWindowProperty(self, *_: object) -> float:
        return 0.0 if self._closes and len(self.pictures) >= self._at else 1.0


ENDS = {
    "q": {"key": ord("q")},
    "Q": {"key": ord("Q")},
    "Esc with Num Lock": {"key": 0x10001B},
    "closed": {"closes": True},
}


@pytest.mark.parametrize("how", ENDS)
def test_the_user_ends_the_run(here: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failure: all is closed as after --max-frames, and sources after it are left."""
    display = Display(monkeypatch, **ENDS[how])  # type: ignore[arg-type]
    write_video(here / "film.avi", 40, (64, 48))
    write_photo(here / "photo.png")
    result = infer(write_engine(here / "any.onnx"), "film.avi", "photo.png", "--show", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    assert len(display.pictures) == 3 and not display.is_open
    assert [row["frame"] for row in read_json(here / "found.json")] == [0, 1, 2]
    assert "film.avi: 3 frames -> " in result.stdout and "photo.png" not in result.stdout


def test_a_key_that_means_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    display = Display(monkeypatch, key=ord("x"))
    write_video(here / "film.avi", 6, (64, 48))
    result = infer(write_engine(here / "any.onnx"), "film.avi", "--show", "--track", "--smooth")
    assert result.exit_code == 0 and len(display.pictures) == 6
    (line,) = re.findall(r"film.avi: \d+ ms from the arrival of a frame .*\n", result.stdout)
    assert "(median of 6 frames, 99th percentile " in line and line.endswith("; 0 frames dropped\n")


class Silent(Video):
    """A live video of five frames, which then waits until it is closed."""

    name, fps, is_live = "camera", 10, True

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(5):
            yield Frame(np.full((48, 64, 3), 99, np.uint8), number / 10, number)
        while not self.is_closed:
            time.sleep(0.01)

    def close(self) -> None:
        self.is_closed = True


def test_a_key_is_heard_while_a_stream_is_silent(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    display, asked = Display(monkeypatch), itertools.count()
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if next(asked) > 20 and display.pictures else -1)
    monkeypatch.setattr("yolact.runtime.sources.open_video", lambda *_, **__: Silent())
    result = infer(write_engine(here / "any.onnx"), "rtsp://host/silent", "--show")
    assert result.exit_code == 0, result.stderr
    assert "rtsp://host/silent: " in result.stdout and display.pictures


def test_the_window_shows_rate_and_latency_over_the_picture(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the lower left corner, and the picture that is written has none."""
    display = Display(monkeypatch)
    write_video(here / "film.avi", 1, (320, 240))  # black, so nothing is found and drawn
    assert infer(write_engine(here / "any.onnx"), "film.avi", "--show").exit_code == 0
    (picture,) = display.pictures
    rows, columns = np.nonzero(picture.max(axis=2) > 100)
    assert rows.size and rows.min() > 200 and columns.max() < 200


NONE_BUILT, BUILT = "  GUI:                           NONE\n", "  GUI:                           QT5\n"
WITHOUT = {
    "built without windows": (NONE_BUILT, ":0", "OpenCV is built without windows here"),
    "no display": (BUILT, "", "there is no display here that a window could be opened on"),
}


@pytest.mark.parametrize("title", WITHOUT)
def test_where_there_can_be_no_window(here: Path, title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    information, display, reason = WITHOUT[title]
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: information)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    write_video(here / "film.avi", 2)
    result = infer(write_engine(here / "any.onnx"), "film.avi", "--show", "--json", "found.json")
    assert result.exit_code == 1 and result.stderr.startswith(f"error: --show: {reason}"), result.stderr
    assert "--serve" in result.stderr and result.stderr.count("\n") == 1
    assert not (here / "found.json").exists()


def test_images_alone_are_not_watched(here: Path) -> None:
    write_photo(here / "photo.png")
    result = infer(write_engine(here / "any.onnx"), "photo.png", "--show")
    assert result.exit_code == 2 and "for videos, cameras and streams" in result.stderr
