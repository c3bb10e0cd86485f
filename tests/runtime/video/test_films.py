"""Small videos of many kinds, whole and damaged: which frames come, when, and what is said at the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numbered_films import number_of, steady, write_film

from yolact.runtime.errors import ImageError
from yolact.runtime.video.reader import VideoReader

UNEVEN = [0.0, 0.04, 0.1, 0.5, 2.0, 2.04, 3.0, 5.3]
TEN = list(range(10))


def zero_middle(data: bytearray) -> bytearray:
    start, end = data.index(b"mdat") + 4, data.rindex(b"moov") - 4
    middle = (start + end) // 2
    data[middle : middle + (end - start) // 8] = bytes((end - start) // 8)
    return data


def zero_all(data: bytearray) -> bytearray:
    start, end = data.index(b"mdat") + 4, data.rindex(b"moov") - 4
    data[start:end] = bytes(end - start)
    return data


def halve(data: bytearray) -> bytearray:
    return data[: len(data) * 6 // 10]


def lose_packets(data: bytearray) -> bytearray:
    """Of MPEG-TS, whose packets have 188 bytes."""
    start = len(data) // 188 // 2 * 188
    return data[:start] + data[start + 188 :]


def delay_by_edit_list(data: bytearray) -> bytearray:
    """Let the first edit begin 0.3 s into the media: its frames before that are not shown."""
    ticks = data.index(b"mdhd") + 16  # a second, as an integer of four bytes
    begins = data.index(b"elst") + 16
    data[begins - 4 : begins] = (700).to_bytes(4, "big")  # milliseconds that are shown
    second = int.from_bytes(data[ticks : ticks + 4], "big")
    data[begins : begins + 4] = (int.from_bytes(data[begins : begins + 4], "big") + second * 3 // 10).to_bytes(4, "big")
    return data


def beginnings(data: bytearray) -> list[int]:
    """Where the packets of MPEG-TS are in which a picture begins; 256 is the identifier of the pictures."""
    heads = [(at, data[at + 1] & 0x40, (data[at + 1] & 0x1F) << 8 | data[at + 2]) for at in range(0, len(data), 188)]
    return [at for at, begins, identifier in heads if begins and identifier == 256]


def lose_codec(data: bytearray) -> bytearray:
    """Of an AVI: in the headers of the file and of the stream."""
    return data.replace(b"MJPG", b"QQQQ")


def lose_first_key_frame(data: bytearray) -> bytearray:
    """Of MPEG-TS: all packets before that with the second picture's beginning."""
    first = beginnings(data)
    return data[first[1] :]


def lose_all_but_middle(data: bytearray) -> bytearray:
    """Of MPEG-TS: what is between the first two key frames, five pictures apart."""
    first = beginnings(data)
    return data[: first[0]] + data[first[1] : first[4]]


@dataclass(frozen=True)
class Film:
    """How a film is made, what becomes of its bytes, and what is expected."""

    name: str
    times: list[float] = field(default_factory=lambda: steady(10))
    making: dict[str, Any] = field(default_factory=dict)
    fault: Callable[[bytearray], bytearray] = field(default=bytearray)
    numbers: list[int] | None = None  # None: all of them
    verdict: str = ""
    starts: float = 0.0
    shape: tuple[int, int] = (64, 96)


FILMS = {
    "H.264 with B-frames in MP4": Film("a.mp4", making={"options": {"bf": "3", "b_strategy": "0"}}),
    "H.264 without B-frames": Film("a.mp4", making={"options": {"tune": "zerolatency"}}),
    "uneven times in Matroska": Film("a.mkv", UNEVEN),
    "uneven times in MP4": Film("a.mp4", UNEVEN),
    "one frame": Film("a.mp4", [0.0]),
    "H.265": Film("a.mp4", making={"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
    "H.265 of 10 bits": Film(
        "a.mkv", making={"codec": "libx265", "pixels": "yuv420p10le", "options": {"x265-params": "log-level=none"}}
    ),
    "VP8 in WebM": Film("a.webm", making={"codec": "libvpx"}),
    "VP9 in WebM": Film("a.webm", UNEVEN, making={"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
    "Motion JPEG in AVI": Film("a.avi", making={"codec": "mjpeg", "pixels": "yuvj420p", "tick": Fraction(1, 10)}),
    "H.264 with B-frames in AVI": Film(
        "a.avi", making={"options": {"bf": "3", "b_strategy": "0"}, "tick": Fraction(1, 10)}
    ),
    "frames that last in AVI": Film(
        "a.avi", UNEVEN, making={"codec": "mjpeg", "pixels": "yuvj420p", "tick": Fraction(1, 50)}
    ),
    "MPEG-2 with B-frames": Film(
        "a.mpg", steady(10, 25), making={"codec": "mpeg2video", "tick": Fraction(1, 25), "context": {"max_b_frames": 2}}
    ),
    "H.264 of fields": Film("a.mp4", making={"options": {"x264-params": "tff=1", "flags": "+ildct+ilme"}}),
    "GIF": Film("a.gif", making={"codec": "gif", "pixels": "rgb8", "tick": Fraction(1, 100)}),
    "MPEG-4 in MOV": Film("a.mov", making={"codec": "mpeg4"}),
    "MPEG-TS": Film("a.ts", making={"format": "mpegts"}),
    "FLV": Film("a.flv", making={"codec": "flv1", "format": "flv"}),
    "fragments": Film("a.mp4", making={"container": {"movflags": "+frag_keyframe+empty_moov"}}),
    "odd sizes": Film("a.webm", making={"codec": "libvpx-vp9", "size": (97, 63)}, shape=(63, 97)),
    "turned left": Film("a.mp4", making={"turned": 90}, shape=(96, 64), numbers=[]),
    "turned twice": Film("a.mp4", making={"turned": 180}, numbers=[]),
    "an edit list": Film("a.mp4", making={"options": {"bf": "0"}}, fault=delay_by_edit_list, numbers=TEN[3:]),
    "a name of many signs": Film("ü漢 %03d [1] a:b.mp4"),
    "zeros in the middle": Film("a.mp4", fault=zero_middle, verdict=r"is damaged at 0\.\d+ s"),
    "nothing but zeros": Film("a.mp4", fault=zero_all, numbers=[], verdict="no frame of this video can be decoded"),
    "MP4 cut off, index first": Film(
        "a.mp4",
        making={"container": {"movflags": "+faststart"}, "options": {"bf": "0"}},
        fault=halve,
        verdict=r"ends after \d+ of 10 frames",
    ),
    "MP4 cut off, index last": Film("a.mp4", fault=halve, numbers=[], verdict="cannot be opened as a video"),
    "Matroska cut off": Film("a.mkv", fault=halve, verdict=r"ends at 0\.\d+ s of 1\.00 s"),
    "AVI cut off": Film(
        "a.avi",
        making={"codec": "mjpeg", "pixels": "yuvj420p", "tick": Fraction(1, 10)},
        fault=halve,
        verdict=r"ends after \d+ of 10 frames",
    ),
    "an unknown codec": Film(
        "a.avi",
        making={"codec": "mjpeg", "pixels": "yuvj420p", "tick": Fraction(1, 10)},
        fault=lose_codec,
        numbers=[],
        verdict="no decoder for the codec",
    ),
    "MPEG-TS between key frames": Film(
        "a.ts",
        making={"format": "mpegts", "options": {"bf": "0"}},
        fault=lose_first_key_frame,
        starts=0.4,  # after the first picture, of which nothing can be decoded
        numbers=TEN[5:],
    ),
    "no key frame": Film(
        "a.ts",
        making={"format": "mpegts", "options": {"bf": "0"}},
        fault=lose_all_but_middle,
        numbers=[],
        verdict="(no frame of this video can be decoded|expected a video|cannot be opened)",
    ),
    "MPEG-TS with a hole": Film(
        "a.ts", making={"format": "mpegts"}, fault=lose_packets, verdict=r"is damaged at 0\.\d+"
    ),
}


@pytest.mark.parametrize("title", FILMS)
def test_a_film(tmp_path: Path, title: str) -> None:
    film = FILMS[title]
    path = write_film(tmp_path / film.name, film.times, **film.making)
    path.write_bytes(film.fault(bytearray(path.read_bytes())))
    frames, said = [], ""
    try:
        with VideoReader(path, "film") as reader:
            frames.extend(reader)
    except ImageError as error:
        said = str(error)
    assert bool(said) == bool(film.verdict) and re.search(film.verdict, said), said
    assert {frame.image.shape for frame in frames} <= {(*film.shape, 3)}
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert film.verdict or frames
    if film.verdict == "" and film.numbers != []:
        numbers = TEN[: len(film.times)] if film.numbers is None else film.numbers
        assert [number_of(frame.image) for frame in frames] == numbers
        expected = np.array([film.times[number] for number in numbers])
        np.testing.assert_allclose([frame.time for frame in frames], expected - expected[0] + film.starts, atol=0.0011)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_frames_are_upright(tmp_path: Path, turned: int) -> None:
    """OpenCV turns them as well."""
    path = write_film(tmp_path / "a.mp4", [0.0], turned=turned)
    with VideoReader(path, "film") as reader:
        (frame,) = reader
    capture = cv2.VideoCapture(str(path))
    expected = capture.read()[1]
    capture.release()
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 4


LEVELS = {
    # the light of these levels is known: white of a page (203 cd/m2), and half of that
    "PQ": (16, {0.5807: 255, 0.5080: 186}),
    "HLG": (18, {0.75: 255, 0.6324: 186}),
}


@pytest.mark.parametrize("name", LEVELS)
def test_hdr_becomes_what_a_usual_screen_shows(tmp_path: Path, name: str) -> None:
    """White of a page is nearly white, half its light is middle grey, and highlights stay above it."""
    transfer, expected = LEVELS[name]
    path, shown = tmp_path / "a.mkv", []
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        for number, level in enumerate([*expected, 1.0, 0.0]):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, value in zip(frame.planes, (round(64 + 876 * level), 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with VideoReader(path, "film") as reader:
        shown = [frame.image[32, 32].astype(int) for frame in reader]
    assert all(np.ptp(pixel) <= 3 for pixel in shown)
    white, half, highlight, black = (pixel.mean() for pixel in shown)
    assert 232 <= white < highlight and abs(half - 186) < 4 and highlight > 250 and black < 3


def test_levels_of_both_ranges(tmp_path: Path) -> None:
    """White is white whether a film counts it as 235 or as 255."""
    for pixels, name in (("yuv420p", "a.mp4"), ("yuvj420p", "b.mp4")):
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
            white = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 255, np.uint8), format="bgr24")
            output.mux(stream.encode(white.reformat(format=pixels)))
            output.mux(stream.encode(None))
        with VideoReader(tmp_path / name, "film") as reader:
            assert [frame.image.mean() >= 250 for frame in reader] == [True]


def test_a_file_with_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        silence.sample_rate = 48000
        output.mux(sound.encode(silence))
        output.mux(sound.encode(None))
    with pytest.raises(ImageError, match="got a file without pictures"):
        VideoReader(path, "film")


def test_frames_of_more_pixels_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = write_film(tmp_path / "a.mp4", steady(2))
    monkeypatch.setenv("YOLACT_MAX_PIXELS", str(96 * 64))
    with VideoReader(film, "a.mp4") as video:
        assert len(list(video)) == 2
    monkeypatch.setenv("YOLACT_MAX_PIXELS", str(96 * 64 - 1))
    with pytest.raises(ImageError, match=r"a\.mp4: this video has 96x64 pixels, expected at most 6,143 in all; "):
        VideoReader(film, "a.mp4")
