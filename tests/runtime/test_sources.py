"""What a SOURCE stands for, and opening it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import cv2
import missing
import numpy as np
import pytest

from yolact.runtime import input_files
from yolact.runtime.errors import ImageError
from yolact.runtime.sources import Source, expand_source
from yolact.runtime.video.reader import VideoReader
from yolact.runtime.video.writer import VideoFile

FRAMES = 20


def write_video(path: Path, size: tuple[int, int] = (64, 48)) -> Path:
    """Motion JPEG: every frame takes about the same number of bytes, so cutting the file cuts the frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    generator = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(generator.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))
    writer.release()
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "album"
    for name in ("b.jpg", "A.PNG", "c.webp", "notes.txt", "film.mp4", "deeper/d.jpg", "looks-like.jpg/e.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(argument: str | Path, base: Path) -> list[str]:
    """What an argument stands for, relative to a folder."""
    return [Path(source.name).relative_to(base).as_posix() for source in expand_source(str(argument))]


def test_a_folder_is_the_images_in_it_by_name(album: Path) -> None:
    assert names(album, album) == ["A.PNG", "b.jpg", "c.webp"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b.jpg"]),
        ("*", ["A.PNG", "b.jpg", "c.webp", "film.mp4"]),
        ("?.[jw]*", ["b.jpg", "c.webp"]),
        ("**/*.jpg", ["b.jpg", "deeper/d.jpg"]),
    ],
)
def test_a_pattern_is_the_images_and_videos_that_match(album: Path, pattern: str, expected: list[str]) -> None:
    assert names(album / pattern, album) == expected


def test_a_pattern_may_start_at_home(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(album))
    monkeypatch.setenv("USERPROFILE", str(album))
    assert names("~/b.*", album) == ["b.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "shot[1].jpg").touch()
    (tmp_path / "shot1.jpg").touch()
    assert names(tmp_path / "shot[1].jpg", tmp_path) == ["shot[1].jpg"]


def test_hidden_files_are_not_looked_for_and_read_where_they_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".b.jpg"):
        (tmp_path / name).touch()
    for argument in (tmp_path, tmp_path / "*"):
        assert names(argument, tmp_path) == ["a.png"]
    with pytest.raises(ImageError, match="no image or video matches"):
        expand_source(str(tmp_path / ".*"))
    assert names(tmp_path / "._a.png", tmp_path) == ["._a.png"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match="holds no image"):
        expand_source(str(tmp_path))


@pytest.mark.parametrize(("argument", "index"), [("0", 0), ("12", 12)])
def test_an_integer_is_a_camera(argument: str, index: int) -> None:
    assert expand_source(argument) == [Source(f"camera {index}", index)]


def test_a_folder_named_like_a_year_is_a_folder(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album.rename(tmp_path / "2024")
    monkeypatch.chdir(tmp_path)
    assert names("2024", Path("2024")) == ["A.PNG", "b.jpg", "c.webp"]


@pytest.mark.parametrize(
    ("url", "stem", "suffix"),
    [
        ("https://example.org/photos/cat.png?size=2", "cat", ".png"),
        ("http://example.org/a%2Fb%3Fc.JPG", "b_c", ".jpg"),
        ("https://example.org/", "example.org", ".jpg"),
        ("https://example.org/..%2F..%2Fpasswd", "passwd", ".jpg"),
        ("rtsp://10.0.0.7:554/live", "live", ".jpg"),
        (f"https://example.org/{'x' * 300}.webp", "x" * 100, ".webp"),
    ],
)
def test_a_url_names_its_output(url: str, stem: str, suffix: str) -> None:
    (source,) = expand_source(url)
    assert (source.name, source.location, source.stem, source.image_suffix) == (url, url, stem, suffix)


@pytest.mark.parametrize(
    ("location", "stem", "suffix"),
    [
        (Path("photos/x.y.jpeg"), "x.y", ".jpeg"),
        (Path("scan.TIF"), "scan", ".tif"),
        (Path("modern.avif"), "modern", ".jpg"),
        (Path("bare"), "bare", ".jpg"),
        (3, "camera3", ".jpg"),
    ],
)
def test_a_file_or_camera_names_its_output(location: Path | int, stem: str, suffix: str) -> None:
    source = Source("name", location)
    assert (source.stem, source.image_suffix) == (stem, suffix)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("nowhere.jpg", "no such file or folder"),
        ("", "empty SOURCE"),
        ("*.png", "no image or video matches"),
        ("texts", "holds no image"),
        ("ftp://example.org/cat.jpg", "expected a URL with one of http, https"),
        ("http://[half/cat.jpg", "expected a URL"),
    ],
)
def test_where_there_is_nothing_the_error_says_what_was_looked_for(
    argument: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    Path("texts/notes.txt").touch()
    with pytest.raises(ImageError, match=reason) as caught:
        expand_source(argument)
    assert argument in str(caught.value)


def test_a_video_yields_all_frames(tmp_path: Path) -> None:
    media = Source("film", write_video(tmp_path / "film.avi")).open()
    assert isinstance(media, VideoReader)
    with media:
        frames = list(media)
    assert (media.fps, media.frame_count) == (10, FRAMES)
    assert [frame.image.shape for frame in frames] == [(48, 64, 3)] * FRAMES
    assert all(frame.image.dtype == np.uint8 for frame in frames)


def test_a_video_that_breaks_off_yields_what_there_is_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    media = Source("film", path).open()
    assert isinstance(media, VideoReader)
    count = 0
    with media, pytest.raises(ImageError, match=rf"ends after \d+ of {FRAMES} frames"):
        for _ in media:
            count += 1
    assert 0 < count < FRAMES


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"no video\n" * 100, "cannot be opened as a video"), (None, "cannot be read")],
    ids=["empty", "text", "missing"],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=reason):
        Source(str(path), path).open()


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_pipe_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_files, "MAX_PIPE_BYTES", 1 << 20)
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), pipe.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with pytest.raises(ImageError, match=r"pipe.png: cannot be read \(more than 1 MiB come from this pipe\)"):
        Source("pipe.png", pipe).open()
    writer.join(5)
    assert not writer.is_alive()


def test_a_camera_that_is_not_there_is_refused() -> None:
    (source,) = expand_source("99")
    with pytest.raises(ImageError, match="camera 99 cannot be opened"):
        source.open()


def test_a_written_video_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    levels = [20, 120, 220]
    with VideoFile(path, 12.5) as video:
        for level in levels:
            video.write(np.full((48, 64, 3), level, np.uint8))
        assert not path.exists()
        video.write(np.full((24, 32, 3), 60, np.uint8))  # stretched: a stream may change its size
    assert list(tmp_path.iterdir()) == [path]
    with VideoReader(path, "out") as reader:
        means = [float(frame.image.mean()) for frame in reader]
    assert reader.fps == pytest.approx(12.5)
    np.testing.assert_allclose(means, [*levels, 60], atol=5)


def test_a_video_without_frames_leaves_no_file(tmp_path: Path) -> None:
    with VideoFile(tmp_path / "out.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_video_is_closed_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt), VideoFile(path, 10) as video:
        video.write(np.zeros((48, 64, 3), np.uint8))
        raise KeyboardInterrupt
    with VideoReader(path, "out") as reader:
        assert len(list(reader)) == 1
