"""Videos from servers on this machine and from pipes: all that was sent comes, and an end too early is told."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import count, islice
from pathlib import Path
from types import FrameType
from typing import ClassVar

import av
import cv2
import missing
import numpy as np
import pytest
from numbered_films import number_of, picture, steady, write_film
from rtsp_server import RtspCamera
from web_serving import serving

from yolact.runtime.errors import ImageError
from yolact.runtime.images import download
from yolact.runtime.video import reconnecting
from yolact.runtime.video.frames import Frame, Video
from yolact.runtime.video.interruptible import Waiting
from yolact.runtime.video.opening import open_video
from yolact.runtime.video.options import VideoOptions
from yolact.runtime.video.reconnecting import ReconnectingVideo


def part(number: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """One picture of a camera that sends motion JPEG."""
    jpeg = cv2.imencode(".jpg", picture(number, size))[1].tobytes()
    return b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(jpeg), jpeg)


class Handler(BaseHTTPRequestHandler):
    """A folder's files: whole, by parts (/parts/), short (/short/), in chunks (/chunks/), without a length (/bare/)."""

    files: ClassVar[dict[str, bytes]] = {}
    sent: ClassVar[list[int]] = []
    playlists: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        *_, way, name = self.path.split("/")
        if name == "live.m3u8":
            self.playlists.append(name)
            name = name if len(self.playlists) < 4 else "gone"
        if name in ("camera", "endless"):
            self.send_camera(name == "endless")
        elif name in self.files:
            self.send_file(way, self.files[name])
        else:
            self.send_error(404)

    def send_file(self, way: str, content: bytes) -> None:
        first, last = 0, len(content) - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if way == "parts" else None
        if asked:
            first, last = int(asked[1]), int(asked[2] or last)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", "application/octet-stream")
        if way == "parts":
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        if way == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
        elif way != "bare":
            self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        body = content[first : last + 1]
        with contextlib.suppress(OSError):
            if way == "chunks":
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            self.wfile.write(body[: len(body) * 3 // 4] if way == "short" else body)

    def send_camera(self, is_endless: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        self.sent.append(0)
        with contextlib.suppress(OSError):
            large = part(1, (960, 640))
            for number in count() if is_endless else range(4):
                self.sent[-1] += self.wfile.write(large if is_endless else part(number))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    write_film(folder / "film.mp4", steady(10))
    write_film(folder / "fast.mp4", steady(10), container={"movflags": "+faststart"})
    write_film(folder / "film.ts", steady(10), format="mpegts")
    write_film(folder / "list.m3u8", steady(30), format="hls", container={"hls_time": "1", "hls_playlist_type": "vod"})
    segments = sorted(path.name for path in folder.glob("list*.ts"))
    Handler.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    playlist = Handler.files["list.m3u8"]
    assert len(segments) >= 3 and b"#EXT-X-ENDLIST" in playlist
    Handler.files["hole.m3u8"] = playlist.replace(segments[1].encode(), b"gone.ts")
    live = re.sub(rb"#EXT-X-(ENDLIST|PLAYLIST-TYPE:VOD)\n", b"", playlist)
    Handler.files["live.m3u8"] = live
    with serving(Handler) as url:
        yield url


def frames_and_end(video: Video) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    with video:
        try:
            frames.extend(video)
        except ImageError as error:
            return frames, str(error)
    return frames, ""


WHOLE = list(range(10))
SHORT = r"connection ended after \d+ of \d+ bytes; try again"
SERVED = {
    "index last, no parts": ("/whole/film.mp4", WHOLE, ""),
    "index last, parts": ("/parts/film.mp4", WHOLE, ""),
    "MPEG-TS": ("/whole/film.ts", WHOLE, ""),
    "MPEG-TS in chunks": ("/chunks/film.ts", WHOLE, ""),
    "MP4 in chunks": ("/chunks/fast.mp4", WHOLE, ""),
    "MP4 whose length nobody tells": ("/bare/fast.mp4", WHOLE, ""),
    "MPEG-TS whose length nobody tells": ("/bare/film.ts", WHOLE, "ended without notice at 1.00 s, after 10 frames"),
    "MPEG-TS, short": (
        "/short/film.ts",
        None,
        SHORT + "; it broke off at [01]",
    ),
    "MP4, short": (
        "/short/fast.mp4",
        None,
        SHORT + "; it broke off at [01]",
    ),
    "MP4, short, index last": ("/short/film.mp4", [], SHORT),
    "chunks, short": ("/camera", WHOLE[:4], r"the stream ended without notice at 0\.\d+ s, after 4 frames"),
    "HLS": ("/whole/list.m3u8", list(range(30)), ""),
    "HLS with a hole": ("/whole/hole.m3u8", None, r"is damaged at [01]\.\d+ s to [12]\.\d+ s"),
    "HLS that goes away": ("/whole/live.m3u8", list(range(30)), "(ended without notice|404 Not Found; it)"),
    "nothing there": ("/whole/none.mp4", [], "the server answered 404 Not Found"),
    "no playlist there": ("/whole/none.m3u8", [], "the server answered 404 Not Found"),
}


@pytest.mark.parametrize("title", SERVED)
def test_from_a_server(server: str, title: str) -> None:
    path, numbers, reason = SERVED[title]
    url = server + path
    try:
        frames, said = frames_and_end(open_video(url, url))
    except ImageError as error:
        frames, said = [], str(error)
    assert bool(said) == bool(reason) and re.search(reason, said), said
    assert said == "" or said.startswith(url)
    found = [number_of(frame.image) for frame in frames]
    if numbers is None:
        assert len(found) > 0 and found[:3] == [0, 1, 2]
    else:
        assert found == numbers


def reads_dash() -> bool:
    try:
        av.format.ContainerFormat("dash", "r")
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("served_as", ["list.mpd", "by its kind", "a file"])
def test_dash_is_read_or_told(tmp_path: Path, served_as: str) -> None:
    """The wheels of PyAV have no reader for it, though they can write it."""
    location = write_film(tmp_path / "list.mpd", steady(10), format="dash", container={"seg_duration": "1"})
    content = location.read_bytes()

    class Playlist(Handler):
        files: ClassVar[dict[str, bytes]] = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

        def do_GET(self) -> None:
            if not self.path.endswith("playlist"):
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Type", "application/dash+xml; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return None

    with serving(Playlist) as url:
        served = {"list.mpd": f"{url}/whole/list.mpd?a=b", "by its kind": f"{url}/playlist", "a file": location}
        if reads_dash():
            assert len(frames_and_end(open_video(served[served_as], "film"))[0]) == 10
        else:
            with pytest.raises(ImageError, match=r"^film: this PyAV reads no DASH playlists; .*\(\.m3u8\)"):
                open_video(served[served_as], "film")


@pytest.mark.parametrize(
    "url",
    ["rtsp://127.0.0.1:9/live", "rtmp://127.0.0.1:9/live", "http://127.0.0.1:9/a.m3u8", "http://127.0.0.1:9/a.mp4"],
)
def test_a_refused_connection_is_told_as_such(url: str) -> None:
    with pytest.raises(ImageError, match=r"cannot be reached \(.*Connection refused\)") as caught:
        open_video(url, url)
    assert str(caught.value).startswith(f"{url}: ")


def test_rtsp() -> None:
    camera = RtspCamera(10)
    frames, end = frames_and_end(open_video(camera.url, camera.url))
    assert [number_of(frame.image) for frame in frames] == WHOLE
    np.testing.assert_allclose([frame.time for frame in frames], steady(10), atol=1e-3)
    assert end == f"{camera.url}: the stream ended without notice at 1.00 s, after 10 frames"


def test_a_file_over_the_limit_is_not_downloaded(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="sends files as a whole alone"):
        open_video(f"{server}/whole/film.mp4", "film")
    assert len(frames_and_end(open_video(f"{server}/parts/film.mp4", "film"))[0]) == 10


def test_a_slow_consumer_takes_no_more_than_it_needs(server: str) -> None:
    with open_video(f"{server}/endless", "camera") as video:
        frames = iter(video)
        for _ in range(3):
            next(frames)
            time.sleep(0.1)
        sent = [0, Handler.sent[-1]]
        while sent[-1] != sent[-2] and len(sent) < 50:  # until the server can send no more
            time.sleep(0.1)
            sent.append(Handler.sent[-1])
    assert sent[-1] == sent[-2] < 32 << 20, "what the buffers of the sockets hold"


def test_a_stream_is_connected_again(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are counted on, at the times that have gone by; attempts are counted from the last frame."""
    monkeypatch.setattr(reconnecting, "_FIRST_WAIT", 0.05)
    opened, said = [0], list[str]()

    def open_again() -> Video:
        opened[0] += 1
        if opened[0] in (1, 3, 4):
            raise ImageError("camera: away")
        return open_video(f"{server}/camera", "camera")

    video = ReconnectingVideo(open_video(f"{server}/camera", "camera"), open_again, 2, said.append)
    frames, end = frames_and_end(video)
    assert end == "camera: away" and opened == [4]
    assert [frame.index for frame in frames] == list(range(8))
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3] * 2
    assert [frame.gap > 0.14 for frame in frames] == [False] * 4 + [True] + [False] * 3
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert [re.sub(r".*;", "", line) for line in said] == [
        *(" connecting again in 0.05 s (1 of 2)", " connecting again in 0.1 s (2 of 2)"),
        *(" connecting again in 0.05 s (1 of 2)", " connecting again in 0.1 s (2 of 2)"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_named_pipe(tmp_path: Path) -> None:
    film, pipe = write_film(tmp_path / "film.ts", steady(10), format="mpegts"), tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()), daemon=True)
    writer.start()
    frames, end = frames_and_end(open_video(pipe, "pipe"))
    writer.join(5)
    assert end == "" and [number_of(frame.image) for frame in frames] == WHOLE


def test_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("yolact.runtime.video.reader.OPEN_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for url in (f"rtsp://127.0.0.1:{port}/live", f"http://127.0.0.1:{port}/film.mp4"):
            with pytest.raises(ImageError, match="the server takes too long"):
                open_video(url, url)


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        (VideoOptions(), list(range(10))),
        (VideoOptions(max_frames=3), [0, 1, 2]),
        (VideoOptions(stride=4), [0, 4, 8]),
        (VideoOptions(stride=4, max_frames=2), [0, 4]),
        (VideoOptions(duration=0.35), [0, 1, 2, 3]),
        (VideoOptions(duration=0.0), []),
        (VideoOptions(duration=99.0, max_frames=99), list(range(10))),
    ],
)
def test_the_frames_that_are_taken(tmp_path: Path, options: VideoOptions, indices: list[int]) -> None:
    with open_video(write_film(tmp_path / "film.mp4", steady(10)), "film") as video:
        assert [frame.index for frame in options.choose(video)] == indices


def test_no_frame_is_asked_for_after_the_last(server: str) -> None:
    """A camera would have to send another one first."""
    with open_video(f"{server}/camera", "camera") as video:
        assert len(list(VideoOptions(max_frames=4).choose(video))) == 4
    with open_video(f"{server}/endless", "camera") as video:
        assert len(list(islice(VideoOptions(max_frames=2).choose(video), 9))) == 2


def interrupted(url: str | Path, action: Callable[[], None]) -> list[str]:
    """Read a stream and call this at its tenth frame; the threads that are left once the interrupt has closed it."""
    with pytest.raises(KeyboardInterrupt), open_video(url, "stream") as video:
        for frame in video:
            if frame.index == 10:
                action()
    return [thread.name for thread in threading.enumerate() if thread.name == "yolact waiting"]


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_ctrl_c_is_heard_while_a_server_is_silent() -> None:
    """FFmpeg waits itself here, and has to be told to stop: otherwise its thread would be there when Python ends."""
    camera = RtspCamera(60, is_silent=True)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    assert interrupted(camera.url, timer.start) == []


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_signal_may_come_anywhere(tmp_path: Path) -> None:
    """Before each line that runs in the caller's thread while it waits for a call, the first of which begins it.

    What is read would be closed while FFmpeg reads it if the caller did that itself.
    """
    content = write_film(tmp_path / "film.ts", steady(60), format="mpegts").read_bytes()
    is_reached, line = True, 0
    while is_reached:
        pipe = tmp_path / f"{line}.ts"
        os.mkfifo(pipe)
        end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # nobody closes it, so it is silent after what it takes
        os.write(end, content)
        is_reached, line = interrupted_before(line, pipe), line + 1
        os.close(end)
    assert line > 3


def interrupted_before(line: int, pipe: Path) -> bool:
    """Raise KeyboardInterrupt where this line of the next call begins, or after it; whether there is such a line."""
    lines, is_reached = count(), list[bool]()

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        if frame.f_code is not Waiting.call.__code__:
            return None
        if event == "return" or (event == "line" and next(lines) == line):
            sys.settrace(None)
            is_reached.append(event == "line")
            raise KeyboardInterrupt
        return trace

    try:
        assert interrupted(pipe, lambda: sys.settrace(trace)) == []
    finally:
        sys.settrace(None)
    return is_reached[0]
