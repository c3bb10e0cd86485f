"""`yolact-bench` as its users run it; how long anything takes is not looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from scripted_engine import write_engine, write_photo, write_video

from yolact.cli.bench import main
from yolact.runtime.bench import machine
from yolact.runtime.bench.measure import WARM_UPS
from yolact.runtime.bench.photos import EncodedImage, Photos
from yolact.runtime.bench.report import report_lines
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import EngineError
from yolact.runtime.onnx.engine import OnnxEngine

SHORT = ("--duration", "0.02")
CPU_STAGES = {"decode", "preprocess", "engine", "postprocess", "end_to_end"}
COLUMNS = ("p50_ms", "p90_ms", "p99_ms", "images_per_s")


def bench(engine: Path, *arguments: str | Path) -> Result:
    """The command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, ["--engine", str(engine), *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def read(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="ascii"))
    assert isinstance(values, dict)
    return values


# ---- the command ----


def test_a_made_up_scene_and_several_batches(tiny_engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = OnnxEngine.run
    monkeypatch.setattr(OnnxEngine, "run", lambda self, images: seen.append(len(images)) or run(self, images))
    result = bench(tiny_engine, "--batch", "1", "--batch", "3", "--batch", "1", *SHORT, "--json", "b.json")
    assert result.exit_code == 0 and result.stderr == "", result.output
    values = read(here / "b.json")
    assert [row["batch"] for row in values["batches"]] == values["settings"]["batches"] == [1, 3]
    expected = []
    for row in values["batches"]:
        assert row["runs"] >= 1 and row["images"] == row["batch"] * row["runs"]
        assert {stage for stage, latency in row["stages"].items() if latency} == CPU_STAGES
        assert 0 < row["mean_detections"] <= 20
        for latency in filter(None, row["stages"].values()):
            assert 0 < latency["p50_ms"] <= latency["p90_ms"] <= latency["p99_ms"]
        streamed = row["streamed"]
        assert streamed["images"] >= row["batch"] and streamed["images"] % row["batch"] == 0
        assert streamed["in_flight"] == 2 and streamed["images_per_s"] > 0
        expected += [row["batch"]] * (row["runs"] + WARM_UPS)
        expected += [row["batch"]] * (2 * WARM_UPS + streamed["images"] // row["batch"])
    assert seen == [*expected, 1]  # the last for the numbers of detections
    assert values["engine"]["config"] == "tiny" and values["engine"]["file"] == str(tiny_engine)
    assert values["engine"]["postprocess"]["max_detections"] == 20
    assert values["settings"] == {
        "images": ["made-up scene, 1280x720, JPEG"],
        "batches": [1, 3],
        "duration_s": 0.02,
        "warm_up_runs": WARM_UPS,
        "masks": "full",
    }
    assert values["by_detections"]["found"] == values["batches"][0]["mean_detections"]
    assert values["machine"]["gpu"] is None and "gpu_rise_mib" not in values["memory"]
    assert sorted(path.name for path in here.iterdir()) == ["b.json"]


def test_the_table_is_the_json(tiny_engine: Path, here: Path) -> None:
    result = bench(tiny_engine, "--batch", "2", "--batch", "1", *SHORT, "--masks", "rle", "--json", "b.json")
    assert result.exit_code == 0, result.output
    values, lines = read(here / "b.json"), result.stdout.splitlines()

    def cells(latency: dict[str, float]) -> list[str]:
        return [f"{latency[column]:.3f}" for column in COLUMNS]

    titles = {"decode": "decode", "preprocess": "preprocess", "engine": "engine"}
    titles |= {"postprocess": "post-process", "end_to_end": "end to end"}
    for row in values["batches"]:
        top = next(i for i, line in enumerate(lines) if line.startswith(f"batch {row['batch']}: {row['runs']} run"))
        assert f"{row['images']} image" in lines[top] and f"{row['mean_detections']:.1f} detections" in lines[top]
        for line, (stage, title) in zip(lines[top + 2 :], titles.items(), strict=False):
            assert line.startswith(title) and line.removeprefix(title).split() == cells(row["stages"][stage])
        streamed = row["streamed"]
        said = f"streamed, 2 batches in flight: {streamed['images_per_s']:.3f} images/s of {streamed['images']} image"
        assert any(line.startswith(said) for line in lines)
        latency = row["stages"]["end_to_end"]
        (line,) = (line for line in lines if line.startswith(f"batch {row['batch']} "))
        assert line.split()[2:] == [*cells(latency), f"{latency['mean_ms'] / row['batch']:.3f}"]
    for row in values["by_detections"]["counts"]:
        (line,) = (line for line in lines if line.startswith(f"{row['detections']} detection"))
        assert line.split()[2:] == cells(row)
    assert result.stdout.count("masks as RLE") == 4 and "full-size" not in result.stdout
    assert f"no decoding or resizing): {values['fps']['as_the_paper']:.2f}" in result.stdout
    assert f"{values['fps']['end_to_end']:.2f}" == lines[-2].split()[-1]
    assert f"{values['by_detections']['ms_per_detection']:.4f} ms for each detection" in result.stdout
    assert f"{values['memory']['peak_host_mib']:g} MiB" in lines[-1]
    for name, version in values["machine"]["versions"].items():
        assert f"{name} {version}" in result.stdout


def test_photos_and_folders(engine: Path, here: Path) -> None:
    write_photo(here / "photos" / "a.png", 20, 30)
    write_photo(here / "photos" / "b.jpg", 40, 10)
    result = bench(engine, "photos", *SHORT, "--json", "b.json")
    assert result.exit_code == 0 and "images: 2 files, cycled" in result.stdout
    values = read(here / "b.json")
    assert values["settings"]["images"] == ["photos/a.png", "photos/b.jpg"]
    assert (values["by_detections"]["image"], values["by_detections"]["width_px"]) == ("photos/a.png", 30)
    assert values["batches"][0]["mean_detections"] == 4 and values["by_detections"]["found"] == 4


def test_images_without_anything_to_find(engine: Path, here: Path) -> None:
    cv2.imwrite("black.png", np.zeros((20, 30, 3), np.uint8))
    result = bench(engine, "black.png", *SHORT, "--json", "b.json")
    assert result.exit_code == 0, result.output
    assert "the network found nothing in this image" in result.stdout
    values = read(here / "b.json")
    assert values["by_detections"]["ms_per_detection"] is None and values["batches"][0]["mean_detections"] == 0


@pytest.fixture(scope="module")
def fixed_engine(
    tiny_config: ModelConfig, export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("fixed") / "two.onnx"
    return export_seeded(tiny_config, path, PostprocessConfig(max_detections=20), batch=2)


def test_a_file_for_a_fixed_batch(fixed_engine: Path, here: Path) -> None:
    result = bench(fixed_engine, *SHORT, "--json", "b.json")
    assert result.exit_code == 0, result.output
    assert "FPS are counted at batch 1, which was not measured" in result.stdout
    values = read(here / "b.json")
    assert values["settings"]["batches"] == [2] and values["fps"]["as_the_paper"] is None
    for other in ("1", "4"):
        result = bench(fixed_engine, "--batch", "2", "--batch", other, *SHORT, "--json", "c.json")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            f"error: this file was exported for batches of 2, got --batch {other}; leave --batch out, or export it "
            "with yolact-export --batch dynamic\n"
        )
    assert not (here / "c.json").exists()


# ---- what goes wrong ----


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--batch", "0"], "0 is not in the range x>=1"),
        (["--batch", "-1"], "-1 is not in the range x>=1"),
        (["--batch", "two"], "'two' is not a valid integer"),
        (["--duration", "0"], "expected a number of seconds above 0, got 0.0"),
        (["--duration", "-1"], "expected a number of seconds above 0, got -1.0"),
        (["--duration", "nan"], "expected a number of seconds above 0, got nan"),
        (["--duration", "inf"], "expected a number of seconds above 0, got inf"),
        (["--masks", "polygon"], "'full', 'rle'"),
        (["--device", "gpu"], "expected a device like cpu"),
        (["--metadata", "photo.jpg"], "is an ONNX file and has its metadata inside"),
        (["--json", "folder"], "is a directory"),
        (["--json", "-"], "--json: expected the name of a file, got -"),
        (["--json", "/dev/null"], "it exists and is no regular file"),
        (["--json", "nowhere/b.json"], "there is no folder nowhere"),
        (["photo.jpg", "--json", "photo.jpg"], "is one of the inputs"),
        (["film.avi"], "film.avi: expected image files or folders of images"),
        (["0"], "camera 0: expected image files"),
        (["http://localhost/a.jpg"], "expected image files or folders of images, got a video, camera or URL"),
        (["--verbose"], "No such option"),
    ],
)
def test_wrong_usage(engine: Path, here: Path, arguments: list[str], reason: str) -> None:
    write_photo(here / "photo.jpg")
    write_video(here / "film.avi", 2)
    (here / "folder").mkdir()
    before = sorted(here.rglob("*"))
    result = bench(engine, *arguments)
    assert result.exit_code == 2, result.output
    assert reason in " ".join(result.stderr.split())
    assert result.stdout == "" and sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("gone.jpg", "gone.jpg: there is no such file or folder"),
        ("empty", "empty: the folder holds no image"),
        ("*.gif", "*.gif: no image or video matches this pattern"),
        ("text.jpg", "text.jpg: this is no image in a format OpenCV reads"),
        ("nothing.jpg", "nothing.jpg: expected an image, got an empty file"),
        ("cut.jpg", "cut.jpg: this JPEG is truncated"),
    ],
)
def test_images_that_are_none(engine: Path, here: Path, image: str, reason: str) -> None:
    (here / "empty").mkdir()
    (here / "text.jpg").write_text("no image")
    (here / "nothing.jpg").touch()
    (here / "cut.jpg").write_bytes(write_photo(here / "photo.jpg").read_bytes()[:-100])
    result = bench(engine, "photo.jpg", image, *SHORT, "--json", "b.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {reason}") and len(result.stderr.splitlines()) == 1
    assert not (here / "b.json").exists()


def test_engines_that_are_none(here: Path) -> None:
    assert bench(here / "gone.onnx").exit_code == 2
    (here / "text.onnx").write_text("no engine")
    (here / "text.plan").write_text("no engine")
    for name in ("text.onnx", "text.plan"):
        result = bench(here / name, *SHORT, "--json", "b.json")
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr.startswith(f"error: {here / name}") and len(result.stderr.splitlines()) == 1
    assert not (here / "b.json").exists()


def test_a_plan_without_a_gpu_says_why(here: Path) -> None:
    (here / "yolact.plan").write_bytes(b"ftrt" + bytes(64))
    result = bench(here / "yolact.plan", *SHORT)
    assert result.exit_code == 4 and result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("error", "code", "line"), [
    (KeyboardInterrupt(), 130, "interrupted"),
    (MemoryError(), 1, "error: the host's memory does not suffice; take smaller batches, or --masks rle"),
])  # fmt: skip
def test_nothing_is_left_of_what_broke_off(
    engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    (here / "b.json").write_text("earlier")
    take, calls = Photos.take, []

    def break_off(self: Photos, count: int) -> list[EncodedImage]:
        calls.append(count)
        if len(calls) > WARM_UPS + 2:
            raise error
        return take(self, count)

    monkeypatch.setattr(Photos, "take", break_off)
    result = bench(engine, "--duration", "1000", "--json", "b.json")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"{line}\n")
    assert [path.name for path in here.iterdir()] == ["b.json"] and (here / "b.json").read_text() == "earlier"


def test_a_run_that_fails_is_a_sentence(engine: Path) -> None:
    with pytest.raises(EngineError, match=r"ONNX Runtime could not run a batch of shape \(1, 8, 8, 3\) \("):
        OnnxEngine(engine).run(np.zeros((1, 8, 8, 3), np.uint8))


def test_help_says_what_the_exit_codes_mean() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0 and "130" in result.stdout and "IMAGE" in result.stdout


# ---- the machine ----


def test_a_machine_that_tells_nothing(engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: "")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.delattr(machine.os, "getloadavg")
    result = bench(engine, *SHORT, "--json", "b.json")
    assert result.exit_code == 0, result.output
    assert "CPU: unknown" in result.stdout and "governor unknown, unknown, load unknown before\n" in result.stdout
    assert result.stdout.endswith("whole process: unknown\n")
    values = read(here / "b.json")
    assert values["machine"]["cpu"]["model"] is values["machine"]["clocks_before"]["cpu_mhz"] is None


def test_clocks_before_and_after_are_both_reported(engine: Path, here: Path) -> None:
    assert bench(engine, *SHORT, "--json", "b.json").exit_code == 0
    values = read(here / "b.json")
    values["machine"]["clocks_before"]["cpu_mhz"], values["machine"]["clocks_after"]["cpu_mhz"] = 800.0, 2100.0
    assert any("800 MHz before, 2100 after" in line for line in report_lines(values))
    assert all(len(line) <= 120 for line in report_lines(values) if not line.startswith(("versions", str(engine))))


# ---- videos ----


@pytest.mark.parametrize(("batch", "threads"), [(None, 2), (3, 3), (None, 1)])
def test_a_video_goes_through_all_stages(here: Path, batch: int | None, threads: int) -> None:
    """A film shorter than the warm-up begins again and again."""
    engine = write_engine(here / "any.onnx", batch=batch)
    write_video(here / "film.avi", 4)
    result = bench(engine, "--source", "film.avi", "--duration", "0.2", "--threads", str(threads), "--json", "v.json")
    assert result.exit_code == 0, result.stderr
    values, lines = read(here / "v.json"), result.stdout.splitlines()
    assert list(values["stages"]) == ["decode", "preprocess", "network", "postprocess", "draw", "encode"]
    for stage, one in values["stages"].items():
        assert one["median_ms"] > 0 and 0 <= one["waited"] <= 1
        (line,) = (line for line in lines if line.startswith(stage))
        assert line.split()[1:] == [f"{one['median_ms']:.3f}", f"{100 * one['waited']:.1f}"]
    assert len({values["stages"][stage]["waited"] for stage in ("preprocess", "network", "postprocess")}) == 1
    assert values["frames"] > 0 and values["frames_per_s"] == pytest.approx(values["frames"] / values["seconds"])
    assert values["streams"] == min(threads, 2)
    for way, line in zip(("", "_at_once")[: values["streams"]], lines[-values["streams"] :], strict=True):
        share = values["frames_per_s"] / values[f"engine{way}_images_per_s"]
        assert values[f"share_of_engine{way}"] == pytest.approx(share) and line.endswith(f" reaches {share:.3f}")
    assert (values["share_of_engine_at_once"] is None) == (threads == 1)
    assert sorted(path.name for path in here.iterdir()) == ["any.onnx", "film.avi", "v.json"]


def test_a_video_may_be_made_up(engine: Path, here: Path) -> None:
    result = bench(engine, "--source", "video", "--duration", "0.05")
    assert result.exit_code == 0 and "source: made-up film, 1280x720, " in result.stdout, result.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--source", "film.avi", "photo.png"], 2, "leave out IMAGE"),
        (["--source", "film.avi", "--batch", "2"], 2, "leave out --batch"),
        (["--source", "film.avi", "--masks", "full"], 2, "leave out --masks"),
        (["--source", "film.avi", "--json", "film.avi"], 2, "--json"),
        (["--source", "none.avi"], 1, "none.avi: cannot be read"),
        (["--source", "photo.png"], 1, "photo.png"),
        (["--source", "."], 1, "neither a file nor a pipe"),
        (["--source", "film.avi", "--max-pixels", "700"], 1, "32x24 pixels, expected at most 700"),
    ],
)
def test_videos_that_cannot_be_measured(engine: Path, here: Path, arguments: list[str], code: int, words: str) -> None:
    film = write_video(here / "film.avi", 4).read_bytes()
    (here / "photo.png").write_bytes(b"no picture")
    result = bench(engine, *arguments, "--duration", "0.05")
    assert (result.exit_code, result.stdout) == (code, "") and words in result.stderr, result.output
    assert (here / "film.avi").read_bytes() == film
