"""Progress where it is watched, and where it is read later."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from yolact.runtime import progress_bar
from yolact.runtime.progress_bar import ProgressBar

WORK = """
import sys, time
from tqdm import tqdm
from yolact.runtime import progress_bar

progress_bar.PERIOD_S = float(sys.argv[1])
bar = progress_bar.ProgressBar(range(30), desc="counting", unit=" things")
for _ in bar:
    time.sleep(0.01)
    with tqdm.external_write_mode():
        print("a thing")
"""


def test_lines_where_there_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", WORK, "0.1"], capture_output=True, text=True, check=True)
    assert done.stdout == "a thing\n" * 30
    lines = done.stderr.splitlines()
    assert lines and "\r" not in done.stderr and "\x1b" not in done.stderr
    for line in lines:
        assert re.fullmatch(r"counting: +\d+%? ?.*\d+/30 \[.*things/s\]", line)


def test_short_work_is_silent_there() -> None:
    done = subprocess.run([sys.executable, "-c", WORK, "30"], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_bar_in_a_terminal() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([sys.executable, "-c", WORK, "0.1"], stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end, as Linux tells it
            while part := os.read(ours, 1 << 16):
                shown += part
    os.close(ours)
    assert process.returncode == 0 and shown.count(b"\r") > 2 and b"30/30" in shown


def test_nothing_where_it_is_disabled(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "PERIOD_S", 0.0)
    with ProgressBar(total=2, disable=True) as bar:
        bar.update()
        time.sleep(0.2)
        bar.update()
    assert capfd.readouterr().err == ""
