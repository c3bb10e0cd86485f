"""Collects the messages that image decoders print: some tell in no other way that a file is damaged.

libjpeg fills parts that it cannot decode with grey, libtiff with black; both say so on stderr alone, from C. Stderr is
taken away from the process while an image is decoded. Lines that are no decoder's message are printed afterwards.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import cv2

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_T = TypeVar("_T")

# OpenCV 4 and OpenCV 5.
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
_WARNING = 3  # LOG_LEVEL_WARNING

_STDERR = 2
_LARGEST_FILE = 1 << 20
_WINDOW_SECONDS = 0.05  # decoders that begin later wait until stderr was given back, so that others do not wait long

_MESSAGE = re.compile(
    r"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS parameters|Unknown Adobe color|"
    r">\s|\s*\[\d+\] prec\(|Warning: unknown JFIF|libpng (warning|error)|"
    r"\[ *(ERROR|WARN|INFO|DEBUG):.*(grfmt_|loadsave|imgcodecs|exif)|"
    r"Bogus (\w+ (table|length|index|factors|parameters)|marker)|(Quantization|Huffman|Arithmetic) table 0x|"
    r"Unsupported (marker type|JPEG)|Invalid (component ID|progressive|JPEG file)|"
    r"\x1b\[\d;\d+m\[(ERROR|WARNING)\]|Failed to load nv\w+ library|Note: If using nvImageCodec"
)
"""Beginnings of lines of libjpeg, libpng, OpenCV's decoders and nvImageCodec; OpenCV continues a message with lines
that begin with >, OpenJPEG one about components with a line for each."""


def decode_listening(decode: Callable[[], _T]) -> tuple[_T, list[str]]:
    """A decoder's result, and the lines that it printed on stderr, which do not appear there.

    Decoders run in several threads at once. Where one of them printed, each runs again alone, so that its lines are
    its own. Raises as the decoder does.
    """
    result, printed = _capture.run(decode, alone=False)
    return _capture.run(decode, alone=True) if printed else (result, [])


class _Capture:
    """Takes stderr away while decoders run, one alone or several together."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._is_alone = False
        self._opened = 0.0
        self._stderr, self._level = -1, 0
        self._file, self._told = -1, 0  # what was printed, and how many bytes of it were dealt with

    def run(self, decode: Callable[[], _T], *, alone: bool) -> tuple[_T, list[str]]:
        """The decoder's result, and lines of any decoder that ran meanwhile."""
        start = self._enter(alone)
        lines: list[str] = []
        try:
            result = decode()
        finally:
            lines = self._leave(start)
        return result, lines

    def _enter(self, alone: bool) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._may_start(alone))
            if self._running == 0:
                self._open()
            self._running += 1
            self._is_alone = alone
            return self._size()

    def _may_start(self, alone: bool) -> bool:
        if self._running == 0:
            return True
        return not alone and not self._is_alone and time.monotonic() - self._opened < _WINDOW_SECONDS

    def _leave(self, start: int) -> list[str]:
        with self._changed:
            text = self._read(start)
            self._running -= 1
            if self._running == 0:
                self._is_alone = False
                self._close()
                self._changed.notify_all()
        return [line for line in text.splitlines() if _MESSAGE.match(line)]

    def _open(self) -> None:
        self._opened = time.monotonic()
        try:
            self._stderr = os.dup(_STDERR)
        except OSError:  # stderr is closed: nothing is printed, and nothing can be told
            return
        self._use_file()
        # Commands keep OpenCV silent otherwise.
        self._level = _set_log_level(_WARNING)
        os.dup2(self._file, _STDERR)

    def _close(self) -> None:
        if self._stderr < 0:
            return
        os.dup2(self._stderr, _STDERR)
        _set_log_level(self._level)
        text = self._read(self._told)
        self._told += len(text.encode(errors="surrogateescape"))
        others = [line for line in text.splitlines(keepends=True) if line.strip() and not _MESSAGE.match(line)]
        if others:
            os.write(self._stderr, "".join(others).encode(errors="surrogateescape"))
        os.close(self._stderr)
        self._stderr = -1

    def _use_file(self) -> None:
        """One file for all: the lines of a thread that writes while stderr is given back still end in it, and the next
        image passes them on. A file that has become large is replaced."""
        if self._file >= 0 and self._told < _LARGEST_FILE:
            return
        if self._file >= 0:
            os.close(self._file)
        self._file, self._told = _open_memory(), 0

    def _size(self) -> int:
        return 0 if self._stderr < 0 else os.fstat(self._file).st_size

    def _read(self, start: int) -> str:
        size = self._size() - start
        return os.pread(self._file, size, start).decode(errors="surrogateescape") if size > 0 else ""

    def give_back(self) -> None:
        """In a forked process: let stderr be that of the parent, whose decoders do not run here."""
        if self._stderr >= 0:
            os.dup2(self._stderr, _STDERR)


def _open_memory() -> int:
    """A file that takes what several threads write, whole and in turn."""
    memory = os.memfd_create("messages") if hasattr(os, "memfd_create") else _open_nameless()
    if fcntl is not None:
        fcntl.fcntl(memory, fcntl.F_SETFL, os.O_APPEND)  # else two of them write at one place
    return memory


def _open_nameless() -> int:
    import tempfile  # takes a while to load, and Linux does without

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


_capture = _Capture()


def _start_anew() -> None:
    global _capture
    _capture.give_back()
    _capture = _Capture()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
