"""`yolact-infer` on videos and cameras: the frames that one call each would give, read ahead where nobody waits."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import missing
import numbered_films
import numpy as np
import pytest
from rtsp_server import RtspCamera
from same_films import assert_same_film
from scripted_engine import infer, read_json, start, write_engine, write_photo

from yolact.runtime import inference
from yolact.runtime.detector import Detector
from yolact.runtime.engine import EngineOptions
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import EngineError
from yolact.runtime.images.drawing import annotate
from yolact.runtime.inference import InferenceRequest, run_inference
from yolact.runtime.results import to_row
from yolact.runtime.video.frames import Frame, Video
from yolact.runtime.video.reader import VideoReader
from yolact.runtime.video.writer import VideoFile


def write_film(path: Path, frames: int, size: tuple[int, int] = (96, 64)) -> Path:
    """Frames of which no two are alike, among them black ones."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    random = np.random.default_rng(5)
    for index in range(frames):
        blurred = cv2.GaussianBlur(random.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8), (0, 0), 3)
        writer.write(blurred if index % 4 else np.zeros_like(blurred))
    writer.release()
    return path


def decoded(path: Path) -> list[Frame]:
    with VideoReader(path, path.name) as reader:
        return list(reader)


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("batch", [None, 3])
def test_a_video_is_what_its_frames_are(
    tiny_engine: Path, here: Path, frames: int, batch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame by frame in Python; a file that takes batches of three alone is given full ones."""
    engine = tiny_engine if batch is None else write_engine(here / "three.onnx", batch=batch)
    film, rows = write_film(here / "film.avi", frames), []
    with Detector.open(engine) as detector, VideoFile(here / "expected.mp4", 10) as expected:
        for index, frame in enumerate(decoded(film)):
            found = detector(frame.image).select(0.05, 15)
            expected.write(annotate(frame.image, found), index / 10)
            rows.append(to_row("film.avi", found, "rle", index, index / 10))
    if batch is None:
        assert sum(len(row["detections"]) for row in rows) > frames / 4
    sizes: list[int] = []
    split = Detector._split
    monkeypatch.setattr(Detector, "_split", lambda self, images: sizes.append(len(images)) or split(self, images))
    result = infer(engine, "film.avi", "--json", "found.json", "--score-threshold", "0.05")
    assert result.exit_code == 0, result.stderr
    assert read_json(here / "found.json") == rows
    assert_same_film(here / "yolact-output" / "film.mp4", here / "expected.mp4")
    assert result.stdout.count("film.avi frame ") == frames
    full, rest = divmod(frames, batch or 1)
    assert sorted(sizes, reverse=True) == [batch or 1] * full + [rest] * (rest > 0)


def test_images_of_a_folder_fill_the_batches_of_a_file(here: Path) -> None:
    engine = write_engine(here / "three.onnx", batch=3)
    for index in range(5):
        write_photo(here / "in" / f"{index}.png", 20 + index, 30)
    (here / "in" / "1-damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = infer(engine, "in", "--json", "found.json")
    assert result.exit_code == 1 and result.stderr.count("1-damaged.png: ") == result.stderr.count("\n") == 1
    assert [row["height"] for row in read_json(here / "found.json")] == [20, 21, 22, 23, 24]


class Scripted(Video):
    """An opened video, which notes before each frame how many lines were said."""

    name, fps = "film", 10

    def __init__(self, frames: int, said: list[str], *, is_live: bool, may_wait: bool) -> None:
        self.frames, self.said, self.seen = frames, said, list[int]()
        self.is_live, self.may_wait = is_live, may_wait

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.frames):
            self.seen.append(len(self.said))
            yield Frame(np.full((24, 32, 3), number % 200 + 20, np.uint8), number / 10, number)
        self.seen.append(len(self.said))

    def close(self) -> None:
        pass


def watched(
    here: Path, engine: Path, monkeypatch: pytest.MonkeyPatch, frames: int, *, is_live: bool, may_wait: bool
) -> list[int]:
    """How many lines had been said when each frame was asked for."""
    said: list[str] = []
    video = Scripted(frames, said, is_live=is_live, may_wait=may_wait)
    monkeypatch.setattr("yolact.runtime.sources.open_video", lambda *_, **__: video)
    request = InferenceRequest(engine, ["rtsp://host/film"], output=here / "out")
    run_inference(request, said.append, lambda line: pytest.fail(line))
    heads = [line.split(": ")[0] for line in said]
    assert heads == [*(f"rtsp://host/film frame {number}" for number in range(frames)), "rtsp://host/film"]
    return video.seen


@pytest.mark.parametrize("batch", [None, 3])
def test_a_live_frame_never_waits(here: Path, batch: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = write_engine(here / "any.onnx", batch=batch)
    seen = watched(here, engine, monkeypatch, 10, is_live=True, may_wait=True)
    assert seen == list(range(11))


@pytest.mark.parametrize(
    ("batch", "seen"),
    [(None, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (3, [0, 0, 0, 0, 0, 0, 3, 3, 3, 6, 6])],
    ids=["any", "three"],
)
def test_of_a_pipe_two_batches_of_frames_are_held_at_most(
    here: Path, batch: int | None, seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = write_engine(here / "any.onnx", batch=batch)
    assert watched(here, engine, monkeypatch, 10, is_live=False, may_wait=True) == seen


@pytest.mark.parametrize("batch", [1, 3])
def test_frames_of_a_file_wait_between_the_stages_and_no_more_of_them(
    here: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two between each of decoding, network, drawing and writing; one in each; and two batches in the network."""
    engine = write_engine(here / "any.onnx", batch=batch)
    write = VideoFile.write
    monkeypatch.setattr(VideoFile, "write", lambda *given: time.sleep(0.01) or write(*given))
    seen = watched(here, engine, monkeypatch, 40, is_live=False, may_wait=False)
    held = max(number - said for number, said in enumerate(seen))
    assert 2 * batch < held <= 3 * 2 + 3 + 2 * batch + 1


@pytest.mark.parametrize("batch", [None, 2])
def test_a_frame_that_fails_ends_the_video_there(
    here: Path, batch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, calls = write_engine(here / "any.onnx", batch=batch), list[int]()
    find: Callable[..., object] = Detector._detect_batch

    def fail_at_the_third(*given: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise EngineError("the GPU has fallen off")
        return find(*given)

    monkeypatch.setattr(Detector, "_detect_batch", fail_at_the_third)
    write_film(here / "film.avi", 9)
    result = infer(engine, "film.avi", "--json", "found.json")
    done = 2 * (batch or 1)
    assert result.exit_code == 4 and result.stderr == "error: the GPU has fallen off\n"
    assert result.stdout.endswith(f"film.avi: {done} frames -> {Path('yolact-output/film.mp4')}\n")
    assert not (here / "found.json").exists()
    assert len(decoded(here / "yolact-output" / "film.mp4")) == done


def test_times_and_sizes_go_through(here: Path) -> None:
    """A Matroska file of uneven times and an odd size: frames are written when they were shown, padded."""
    times = [0.0, 0.04, 0.1, 0.5, 2.0, 2.04, 3.0, 5.36]
    numbered_films.write_film(here / "film.mkv", times, codec="libvpx-vp9", size=(191, 127))
    result = infer(write_engine(here / "any.onnx"), "film.mkv", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    rows = read_json(here / "found.json")
    assert [(row["time"], row["width"], row["height"]) for row in rows] == [(time, 191, 127) for time in times]
    frames = decoded(here / "yolact-output" / "film.mp4")
    assert {frame.image.shape for frame in frames} == {(128, 192, 3)}
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=0.001)


def test_the_options_of_videos(here: Path) -> None:
    """Each shows in the JSON, or in the video that is written."""
    engine = write_engine(here / "any.onnx")
    write_film(here / "film.avi", 9)
    result = infer(
        *(engine, "film.avi", "--json", "found.json", "--stride", "2", "--duration", "0.7", "--max-frames", "3"),
        *("--codec", "vp9", "--audio"),
    )
    assert result.exit_code == 0, result.stderr
    assert "film.avi: there is no sound in it that could be copied\n" in result.stdout
    assert [(row["frame"], row["time"]) for row in read_json(here / "found.json")] == [(0, 0.0), (2, 0.2), (4, 0.4)]
    with av.open(str(here / "yolact-output" / "film.mp4")) as film:
        assert [round(frame.time, 3) for frame in film.decode(video=0)] == [0.0, 0.2, 0.4]
        assert film.streams.video[0].codec_context.name == "vp9"


WRONG = [("--stride", "0"), ("--max-frames", "0"), ("--duration", "nan"), ("--reconnect", "-1"), ("--codec", "x")]


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_of_videos(here: Path, options: tuple[str, str]) -> None:
    result = infer(write_engine(here / "any.onnx"), "film.avi", *options)
    assert result.exit_code == 2 and options[0] in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_video_on_the_standard_input(here: Path) -> None:
    engine = write_engine(here / "any.onnx")
    content = write_film(here / "film.avi", 5).read_bytes()
    command = [sys.executable, "-m", "yolact.cli.infer", "--engine", str(engine), "-", "--json", "found.json"]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().endswith(f"-: 5 frames -> {Path('yolact-output/stdin.mp4')}\n")
    assert [(row["source"], row["frame"]) for row in read_json(here / "found.json")] == [("-", k) for k in range(5)]


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_ctrl_c_ends_the_waiting_for_a_stream(here: Path) -> None:
    """The server has sent some frames and is silent then."""
    engine = write_engine(here / "any.onnx")
    jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 99, np.uint8))[1].tobytes()
    part = b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            kept.append(connection)
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n")
            connection.sendall(part * 4)

        kept: list[socket.socket] = []
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/camera.mjpeg"
        process = start(engine, url, "--json", "found.json")
        assert process.stdout is not None and process.stdout.readline().startswith(f"{url} frame 0: ")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        kept[0].close()
    assert (process.returncode, errors) == (130, "interrupted\n")
    assert len(read_json(here / "found.json")) >= 1
    assert len(decoded(here / "yolact-output" / "camera.mp4")) >= 1


def test_a_stream_that_is_connected_again(here: Path) -> None:
    """It comes back once, and is refused then: what was saved is kept."""
    camera = RtspCamera(4, 3)
    result = infer(write_engine(here / "any.onnx"), camera.url, "--reconnect", "1", "--json", "found.json")
    assert result.exit_code == 1
    assert re.fullmatch(rf"error: {camera.url}: cannot be reached \(Connection refused\).*\n", result.stderr)
    assert (
        result.stdout.count("the stream ended without notice") == result.stdout.count("connecting again in 0.5 s") == 2
    )
    rows = read_json(here / "found.json")
    assert [row["frame"] for row in rows] == list(range(7))
    assert [row.get("gap", 0) >= 0.5 for row in rows] == [False] * 4 + [True] + [False] * 2
    times = [row["time"] for row in rows]
    assert times == sorted(set(times))
    frames = decoded(here / "yolact-output" / "live.mp4")
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=0.001)


@pytest.mark.parametrize(
    ("sources", "throughput"),
    [
        (["a.png"], False),
        (["a.png", "b.png"], True),
        (["film.avi"], True),
        (["film.avi", "--serve", "127.0.0.1:0"], False),
        (["a.png", "http://127.0.0.1:9/b.png"], False),
        (["a.png", "0"], False),
    ],
)
def test_where_throughput_counts(
    engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], throughput: bool
) -> None:
    """Where frames are watched, or come from elsewhere, the time of each counts."""
    write_photo(here / "a.png")
    write_photo(here / "b.png")
    write_film(here / "film.avi", 2)
    asked: list[EngineOptions] = []

    def open_and_tell(path: Path, options: EngineOptions) -> object:
        asked.append(options)
        return open_engine(path, options)

    monkeypatch.setattr(inference, "open_engine", open_and_tell)
    infer(engine, *sources, "--threads", "2")
    assert asked == [EngineOptions(threads=2, throughput=throughput)]
