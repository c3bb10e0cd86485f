"""The command `yolact-infer` where something is wrong or somebody stops it."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import missing
import pytest
from click.testing import CliRunner
from scripted_engine import (
    infer,
    read_json,
    start,
    write_photo,
    write_video,
)

from yolact.cli.infer import main
from yolact.runtime.video.reader import VideoReader


@pytest.mark.parametrize(
    ("sources", "reasons"),
    [
        (["empty"], ["empty: the folder holds no image"]),
        (["gone.jpg"], ["gone.jpg: there is no such file or folder"]),
        (["*.jpg", "gone"], ["*.jpg: no image or video matches this pattern", "gone: there is no such file or folder"]),
    ],
)
def test_where_there_is_nothing_to_do(engine: Path, here: Path, sources: list[str], reasons: list[str]) -> None:
    (here / "empty").mkdir()
    result = infer(engine, *sources, "--json", "found.json")
    assert result.exit_code == 1
    assert result.stdout == ""
    for line, reason in zip(result.stderr.splitlines(), reasons, strict=True):
        assert line.startswith(f"error: {reason}")
    assert sorted(path.name for path in here.iterdir()) == ["empty"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("gone.jpg", "there is no such file or folder"),
        ("a" * 300, "cannot be read (File name too long)"),
        ("/dev/zero", "cannot be read (it is a device, not a file)"),
    ],
)
def test_a_source_that_fails_does_not_stop_the_others(engine: Path, here: Path, source: str, reason: str) -> None:
    write_photo(here / "photo.jpg")
    result = infer(engine, source, "photo.jpg")
    assert result.exit_code == 1
    assert result.stdout.startswith("photo.jpg: 2 persons")
    assert result.stderr == f"error: {source}: {reason}\n"


def test_outputs_that_are_links_in_a_circle_are_replaced(engine: Path, here: Path) -> None:
    write_photo(here / "photo.jpg")
    (here / "found.json").symlink_to("found.json")
    assert infer(engine, "photo.jpg", "--json", "found.json").exit_code == 0
    assert len(read_json(here / "found.json")) == 1 and not (here / "found.json").is_symlink()


@pytest.mark.parametrize(
    ("option", "code", "message"),
    [
        (["--output", "file/out"], 1, "cannot write to file/out: Not a directory; choose another --output"),
        (["--json", "file/found.json"], 2, "--json file/found.json: there is no folder file; create it first"),
    ],
)
def test_outputs_that_cannot_be_written_are_noticed_first(
    engine: Path, here: Path, option: list[str], code: int, message: str
) -> None:
    write_photo(here / "photo.jpg")
    (here / "file").touch()
    result = infer(engine, "photo.jpg", *option)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"error: {message}\n")


def test_the_engine_is_never_replaced(engine: Path, here: Path) -> None:
    before = engine.read_bytes()
    result = infer(engine, write_photo(here / "photo.jpg"), "--json", engine)
    assert result.exit_code == 2 and "is one of the inputs" in result.stderr
    assert engine.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Missing argument 'SOURCE...'"),
        (["photo.jpg", "--score-threshold", "1.5"], "from 0 to 1"),
        (["photo.jpg", "--score-threshold", "nan"], "from 0 to 1"),
        (["photo.jpg", "--score-threshold", "high"], "not a valid float"),
        (["photo.jpg", "--top-k", "0"], "x>=1"),
        (["photo.jpg", "--masks", "png"], "'rle', 'polygon', 'none'"),
        (["photo.jpg", "--output", "photo.jpg"], "is a file"),
        (["photo.jpg", "--json", "folder"], "is a directory"),
        (["photo.jpg", "--json", "photo.jpg"], "photo.jpg is one of the inputs"),
        (["photo.jpg", "--json", "-"], "expected the name of a file, got -"),
        (["photo.jpg", "--json", "/dev/null"], "/dev/null: it exists and is no regular file"),
        (["photo.jpg", "--classes", "parson"], "did you mean person?"),
        (["photo.jpg", "--classes", "dog,buss"], "did you mean Bus?"),
        (["photo.jpg", "--classes", "xylophone"], "it knows person, dog, traffic light, Bus"),
        (["photo.jpg", "--classes", "4"], "classes 0 to 3, got 4"),
        (["photo.jpg", "--classes", ""], "no class ''"),
        (["photo.jpg", "--verbose"], "No such option"),
    ],
)
def test_wrong_usage(engine: Path, here: Path, arguments: list[str], reason: str) -> None:
    write_photo(here / "photo.jpg")
    (here / "folder").mkdir()
    result = infer(engine, *arguments)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_an_engine_that_is_none(here: Path) -> None:
    write_photo(here / "photo.jpg")
    assert infer(here / "gone.onnx", "photo.jpg").exit_code == 2
    (here / "text.onnx").write_text("no engine")
    result = infer(here / "text.onnx", "photo.jpg", "--json", "found.json")
    assert result.exit_code == 4
    assert result.stderr.startswith("error: ") and "text.onnx" in result.stderr
    assert not (here / "found.json").exists()


def test_help_says_what_the_exit_codes_mean() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "SOURCE" in result.stdout and "130" in result.stdout


def test_stderr_is_silent_where_it_is_no_terminal(engine: Path, here: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_photo(here / "in" / name)
    write_video(here / "film.avi", 3)
    process = start(engine, "in", "film.avi")
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert len(output.splitlines()) == 3 + 4


def test_failures_are_all_that_stderr_tells(engine: Path, here: Path) -> None:
    """OpenCV, libpng and FFmpeg have messages of their own for these."""
    photo = write_photo(here / "photo.png").read_bytes()
    (here / "short.png").write_bytes(photo[:-40])
    (here / "short.jpg").write_bytes(write_photo(here / "photo.jpg").read_bytes()[:-40])
    film = write_video(here / "film.avi", 3).read_bytes()
    (here / "short.avi").write_bytes(film[: len(film) // 8])
    (here / "text.mp4").write_text("no film")
    process = start(engine, "short.png", "short.jpg", "short.avi", "text.mp4", "98", "photo.png")
    output, errors = process.communicate()
    assert process.returncode == 1
    assert output.startswith("photo.png: 2 persons")
    expected = ("short.png: ", "short.jpg: ", "short.avi: ", "text.mp4: ", "camera 98 ")
    for line, start_of_line in zip(errors.splitlines(), expected, strict=True):
        assert line.startswith(f"error: {start_of_line}")


LONG = 4000  # frames whose lines no pipe buffers, so the command cannot be through before it is stopped


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_closes_the_files(engine: Path, here: Path, number: int, code: int, word: str) -> None:
    write_video(here / "film.avi", LONG, (16, 16))
    process = start(engine, "film.avi", "--json", "found.json", "--masks", "none")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith("film.avi frame 0")
    process.send_signal(number)
    output, errors = process.stdout.read(), process.stderr.read()
    assert (process.wait(), errors) == (code, f"{word}\n")
    frames = len(read_json(here / "found.json"))
    assert 0 < frames < LONG
    assert re.search(r"\d frames? -> yolact-output/film.mp4$", output)
    with VideoReader(Path("yolact-output/film.mp4"), "film") as reader:
        assert abs(len(list(reader)) - frames) <= 1
    assert {path.name for path in here.iterdir()} == {"film.avi", "found.json", "yolact-output"}


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_signal_ends_the_waiting_for_a_pipe(engine: Path, here: Path) -> None:
    write_photo(here / "photo.jpg")
    os.mkfifo("pipe.jpg")
    process = start(engine, "photo.jpg", "pipe.jpg", "--json", "found.json")
    start_of_waiting = time.monotonic()
    while not (here / "yolact-output" / "photo.jpg").exists() and time.monotonic() < start_of_waiting + 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (143, "terminated\n")
    assert [row["source"] for row in read_json(here / "found.json")] == ["photo.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_video_on_a_full_disk(engine: Path, here: Path) -> None:
    write_video(here / "film.avi", 60, (64, 48))
    write_photo(here / "photo.jpg")
    (here / "yolact-output").mkdir()
    (here / "yolact-output" / "film.mp4").write_bytes(b"of an earlier run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # half of the film
    try:
        result = infer(engine, "film.avi", "photo.jpg")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 1 and "->" not in result.stdout
    assert result.stderr == (
        "error: cannot write yolact-output/film.mp4: File too large; free space or choose another --output\n"
    )
    assert [path.name for path in (here / "yolact-output").iterdir()] == ["film.mp4"]
    assert (here / "yolact-output" / "film.mp4").read_bytes() == b"of an earlier run"


def test_a_reader_that_has_seen_enough(engine: Path, here: Path) -> None:
    write_video(here / "film.avi", LONG, (16, 16))
    process = start(engine, "film.avi", "--json", "found.json", "--masks", "none")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1
    assert 0 < len(read_json(here / "found.json")) < LONG


def test_the_library_needs_no_command_line_packages() -> None:
    modules = [
        "detector",
        "output_files",
        "results",
        "images.drawing",
        "images.image_files",
        "sources",
        "video.frames",
    ]
    found = "sorted({'click', 'tqdm', 'torch', 'onnx'} & set(sys.modules))"
    code = f"import sys, {', '.join(f'yolact.runtime.{name}' for name in modules)}; print({found})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
