"""Damaged video files are read as far as they go, or refused in a sentence: cut off, with flipped bytes, with zeros."""

from __future__ import annotations

import faulthandler
import io
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from numbered_films import steady, write_film

from yolact.runtime.errors import ImageError
from yolact.runtime.video.reader import VideoReader

FRAMES = 4
SIZE = (32, 32)
MOST = 200
"""Frames that damage may make of these; more would be an endless loop."""

KINDS: dict[str, dict[str, Any]] = {
    "a.mp4": {"options": {"preset": "ultrafast"}},
    "a.mkv": {"options": {"preset": "ultrafast"}},
    "a.ts": {"options": {"preset": "ultrafast"}, "format": "mpegts"},
    "a.webm": {"codec": "libvpx"},
    "a.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "tick": Fraction(1, 10)},
}
"""How a film of each container is made."""

CUTS, FLIPS, ZEROS = 60, 60, 30


class Bytes(io.BytesIO):
    """A file in memory, which FFmpeg may move about in."""

    failure: ImageError | None = None

    def interrupt(self) -> None:
        """Nobody waits for it."""


def damaged(film: bytes, rng: random.Random) -> Iterator[bytes]:
    """Cut off at places all over the file, odd and even ones; with some bytes changed; with a stretch of zeros."""
    for step in range(CUTS):
        place = step * len(film) // CUTS
        yield film[: place + step % 2]
    for _ in range(FLIPS):
        changed = bytearray(film)
        for _ in range(rng.choice((1, 1, 3, 12))):
            changed[rng.randrange(len(film))] ^= 1 << rng.randrange(8)
        yield bytes(changed)
    for _ in range(ZEROS):
        start, length = rng.randrange(len(film)), rng.choice((4, 64, len(film) // 4))
        yield film[:start] + bytes(len(film[start : start + length])) + film[start + length :]


def read(data: bytes) -> int:
    """How many frames come. Anything but an `ImageError` with one printable line is a fault."""
    count = 0
    try:
        with VideoReader(Bytes(data), "film") as video:
            for frame in video:
                count += 1
                assert frame.image.ndim == 3 and frame.time >= 0 and count <= MOST
    except ImageError as error:
        sentence = str(error)
        assert sentence.startswith("film: ") and sentence.isprintable() and "Error(" not in sentence, sentence
    return count


@pytest.mark.parametrize("name", KINDS)
def test_damaged_films(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLACT_MAX_PIXELS", "1000000")  # a size that damage made up takes no time
    film = write_film(tmp_path / name, steady(FRAMES), size=SIZE, **KINDS[name]).read_bytes()
    assert read(film) == FRAMES, "the film to begin with is good"
    faulthandler.dump_traceback_later(120, exit=True)  # what hangs inside FFmpeg can be ended in no other way
    try:
        counts = [read(data) for data in damaged(film, random.Random(name))]
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert 0 in counts and FRAMES in counts
