"""Written videos: the times of their frames, their sizes and sound, and what is left when writing ends early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import missing
import numpy as np
import pytest
from numbered_films import number_of, picture, steady

from yolact.runtime.errors import ImageError, UsageError
from yolact.runtime.video import encoders
from yolact.runtime.video.encoders import VideoCodec
from yolact.runtime.video.writer import VideoFile

UNEVEN = [0.0, 0.04, 0.1, 0.5, 2.0, 2.04, 3.0, 5.3]


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as film:
        return list(film.decode(video=0))


@pytest.mark.parametrize(("codec", "name"), [(None, "h264"), ("h264", "h264"), ("vp9", "vp9"), ("av1", "libdav1d")])
def test_every_frame_at_its_time(
    tmp_path: Path, codec: VideoCodec | None, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.mp4"
    with VideoFile(path, 10, codec) as video:
        for number, time in enumerate(UNEVEN):
            video.write(picture(number), time)
    frames = frames_of(path)
    np.testing.assert_allclose([frame.time for frame in frames], UNEVEN, atol=1e-4)
    assert [number_of(frame.to_ndarray(format="bgr24")) for frame in frames] == list(range(8))
    with av.open(str(path)) as film:
        assert film.streams.video[0].codec_context.name == name
    assert "".join(capfd.readouterr()) == "", "encoders print nothing"


@pytest.mark.parametrize(("height", "width"), [(127, 191), (64, 95), (63, 96), (1, 1)])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, height: int, width: int) -> None:
    """The last row and column come twice."""
    path, ramp = tmp_path / "out.mp4", np.empty((height, width, 3), np.uint8)
    ramp[:] = np.add.outer(np.arange(height), np.arange(width))[..., None] // 2 + 50
    with VideoFile(path, 10) as video:
        video.write(ramp)
    (frame,) = frames_of(path)
    image = frame.to_ndarray(format="bgr24").astype(int)
    assert image.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(image[:height, :width] - ramp).max() < 8
    assert np.abs(image[-1] - image[height - 1]).max() < 8 and np.abs(image[:, -1] - image[:, width - 1]).max() < 8


def test_times_that_stand_still_or_go_back_are_put_in_order(tmp_path: Path) -> None:
    with VideoFile(tmp_path / "out.mp4", 10) as video:
        for number, time in enumerate([0.0, 0.1, 0.1, 0.05, 0.2]):
            video.write(picture(number), time)
    times = [frame.time for frame in frames_of(tmp_path / "out.mp4")]
    assert times == sorted(set(times)) and times[-1] == pytest.approx(0.2, abs=1e-4)


def write_film_with_sound(path: Path, codec: str = "aac") -> Path:
    """One second of pictures, and of a tone."""
    with av.open(str(path), "w") as output:
        pictures = output.add_stream("libx264", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        sound = output.add_stream(codec, rate=48000, layout="mono")
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(pictures.encode(frame))
        tone = np.sin(np.arange(48000) / 20, dtype=np.float32)[None]
        for start in range(0, 48000, 960):
            part = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone[:, start : start + 960]), "fltp", "mono")
            part.sample_rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
            output.mux(sound.encode(part))
        output.mux(sound.encode(None))
        output.mux(pictures.encode(None))
    return path


def test_sound_is_copied_as_it_is(tmp_path: Path) -> None:
    source = write_film_with_sound(tmp_path / "in.mp4")
    with VideoFile(tmp_path / "out.mp4", 10, sound=source) as video:
        for number, time in enumerate(steady(10)):
            video.write(picture(number), time)
    packets = {}
    for name in ("in", "out"):
        with av.open(str(tmp_path / f"{name}.mp4")) as film:
            found = [p for p in film.demux(audio=0) if p.size and p.pts >= 0]
            packets[name] = [(round(float(p.pts * p.time_base), 3), bytes(p)) for p in found]
    assert len(packets["out"]) > 35
    assert packets["out"] == packets["in"][: len(packets["out"])]


def test_sound_that_does_not_go_into_mp4(tmp_path: Path) -> None:
    source = write_film_with_sound(tmp_path / "in.mov", "pcm_mulaw")
    video = VideoFile(tmp_path / "out.mp4", 10, sound=source)
    with pytest.raises(ImageError, match="does not go into an MP4"), video:
        video.write(picture(0))
    assert list(tmp_path.iterdir()) == [source]


def test_no_encoder_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders._ENCODERS, "h264", {"no_such_encoder": {}})
    with pytest.raises(UsageError, match=r"no encoder for h264; choose --codec vp9 or av1"):
        VideoFile(tmp_path / "out.mp4", 10, "h264")
    VideoFile(tmp_path / "out.mp4", 10)
    for codec in ("vp9", "av1"):
        monkeypatch.setitem(encoders._ENCODERS, codec, {})
    with pytest.raises(UsageError, match="any codec that browsers play"):
        VideoFile(tmp_path / "out.mp4", 10)


def test_a_size_that_no_encoder_takes(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no video of 20000x2 pixels"), VideoFile(tmp_path / "out.mp4", 10) as video:
        video.write(np.zeros((2, 20000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
import numpy as np
from pathlib import Path
from yolact.runtime.video.writer import VideoFile
with VideoFile(Path(sys.argv[1]), 10) as video:
    for number in range(100):
        video.write(np.full((64, 96, 3), number, np.uint8))
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_what_a_killed_process_leaves_plays(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "out.mp4")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".partial-")
    capture, count = cv2.VideoCapture(str(left)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    assert 20 <= count <= 100
