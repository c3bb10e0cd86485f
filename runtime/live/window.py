"""A window on this machine's display, by OpenCV."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import cv2
import numpy as np

from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.live.figures import Figures

_TITLE = "yolact"
_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc
_TRIAL_SECONDS = 30
_INSTEAD = "watch in a browser instead, with --serve"


class Window:
    """Shows the newest frame with its figures. The keys q and Esc, and closing it, end the run."""

    def __init__(self) -> None:
        """Raises YolactError where no window can be opened."""
        _check_display()
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise YolactError(f"--show: OpenCV cannot open a window here; {_INSTEAD}") from error
        self._is_closed = self._has_shown = False

    def show(self, image: Image, figures: Figures) -> None:
        if self._is_closed:
            return
        if not self._has_shown:
            cv2.resizeWindow(_TITLE, image.shape[1], image.shape[0])
        cv2.imshow(_TITLE, with_figures(image, figures))
        self._has_shown = True

    def is_closed(self) -> bool:
        if not self._is_closed:  # the window reacts to its user only here
            key = cv2.waitKey(1)
            self._is_closed = key >= 0 and key & 0xFF in _KEYS
        if not self._is_closed and self._has_shown:
            self._is_closed = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        return self._is_closed

    def close(self) -> None:
        self._is_closed = True
        cv2.destroyAllWindows()


def with_figures(image: Image, figures: Figures) -> Image:
    """A copy of a picture, (H, W, 3) uint8 BGR, with rate and latency in its lower left corner."""
    text = f"{figures.fps:.1f} FPS   {figures.latency:.0f} ms"
    scale = max(0.4, min(1.0, image.shape[0] / 720))
    line = max(1, round(2 * scale))
    shown = image.copy()
    place = (round(12 * scale), image.shape[0] - round(14 * scale))
    for color, thickness in (((0, 0, 0), 3 * line), ((255, 255, 255), line)):  # a dark rim, to be read on any ground
        cv2.putText(shown, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
    return np.asarray(shown, np.uint8)


def _check_display() -> None:
    """Raise YolactError where OpenCV has no windows, or there is no display for them."""
    if re.search(r"GUI:\s*NONE", cv2.getBuildInformation()):
        raise YolactError(f"--show: OpenCV is built without windows here (opencv-python-headless); {_INSTEAD}")
    if not sys.platform.startswith("linux"):
        return
    is_there = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    # Qt aborts the process where it cannot reach the display that these name, so another process tries first.
    trial = [sys.executable, "-c", f"import cv2; cv2.namedWindow({_TITLE!r}); cv2.waitKey(1)"]
    try:
        is_there = is_there and subprocess.run(trial, capture_output=True, timeout=_TRIAL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        is_there = False
    if not is_there:
        raise YolactError(f"--show: there is no display here that a window could be opened on; {_INSTEAD}")
