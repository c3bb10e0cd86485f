"""The command `yolact-infer` from its arguments to its files, with engines that really run."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.image_files import read_image, write_image
from yolact.runtime.infer import main
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.video import VideoReader

CLASS_NAMES = ("person", "dog", "traffic light", "Bus")
IMAGE_SIZE, CELLS = 64, 16

# What the scripted engine finds: two persons, a dog, a traffic light below the default threshold.
BOXES = [(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 0.5), (0.5, 0.5, 1.0, 1.0), (0.25, 0.25, 0.75, 0.75)]
SCORES = [0.9, 0.8, 0.7, 0.1]
CLASSES = [0, 0, 1, 2]


def write_engine(path: Path, mask_scores: list[float] | None = None) -> Path:
    """An engine file with known answers: these four in every image, masks filling their boxes; in a black one, nothing.

    `mask_scores` makes it a model with mask re-scoring.
    """
    masks = np.zeros((4, CELLS, CELLS), np.float32)
    for mask, box in zip(masks, BOXES, strict=True):
        left, top, right, bottom = (round(CELLS * value) for value in box)
        mask[top:bottom, left:right] = 1
    answers = {
        "boxes": np.array(BOXES, np.float32),
        "scores": np.array(SCORES, np.float32),
        "classes": np.array(CLASSES, np.int32),
        "masks": masks,
    }
    if mask_scores is not None:
        answers["mask_scores"] = np.array(mask_scores, np.float32)
    config = ModelConfig("scripted", "resnet50", IMAGE_SIZE, CLASS_NAMES, mask_rescoring=mask_scores is not None)
    metadata = ModelMetadata("full", config, PostprocessConfig(max_detections=4), "", "0")
    proto = helper.make_model(scripted_graph(answers), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(proto, metadata.to_props())
    onnx.save(proto, path)
    return path


def scripted_graph(answers: dict[str, np.ndarray]) -> onnx.GraphProto:
    """A count of 4, or 0 where the image is black, and the same answers for each image of the batch."""
    nodes = [
        helper.make_node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["levels"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Clip", ["brightest", "zero", "one"], ["visible"]),
        helper.make_node("Mul", ["visible", "four"], ["count"]),
        helper.make_node("Cast", ["count"], ["counts"], to=TensorProto.INT32),
        helper.make_node("Unsqueeze", ["counts", "last"], ["num_detections"]),
        helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
    ]
    constants = {name: np.array(value, np.float32) for name, value in (("zero", 0), ("one", 1), ("four", 4))}
    constants["last"] = np.array([-1])
    outputs = [helper.make_tensor_value_info("num_detections", TensorProto.INT32, ["N", 1])]
    for name, values in answers.items():
        constants |= {f"{name}_answer": values, f"{name}_shape": np.array(values.shape)}
        nodes += [
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_size"], axis=0),
            helper.make_node("Expand", [f"{name}_answer", f"{name}_size"], [name]),
        ]
        dtype = helper.np_dtype_to_tensor_dtype(values.dtype)
        outputs.append(helper.make_tensor_value_info(name, dtype, ["N", *values.shape]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", IMAGE_SIZE, IMAGE_SIZE, 3])
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_graph(nodes, "scripted", [images], outputs, initializers)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_engine(tmp_path_factory.mktemp("engine") / "scripted.onnx")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_photo(path: Path, height: int = 40, width: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.random.default_rng(0).integers(1, 256, (height, width, 3)).astype(np.uint8))
    return path


def write_video(path: Path, frames: int, size: tuple[int, int] = (32, 24)) -> Path:
    """Motion JPEG; the first frame is black, so nothing is found in it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 200 if index else 0, np.uint8))
    writer.release()
    return path


def infer(engine: Path, *arguments: str | Path) -> Result:
    """Run the command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, ["--engine", str(engine), *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def start(engine: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "yolact.runtime.infer", "--engine", str(engine), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_json(path: Path) -> list[dict[str, Any]]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(rows, list)
    return rows


def test_a_folder_with_a_broken_file(engine: Path, here: Path) -> None:
    for name in ("a.jpg", "b.png", "d.jpg"):
        write_photo(here / "in" / name)
    (here / "in" / "c.jpg").write_bytes((here / "in" / "a.jpg").read_bytes()[:900])
    result = infer(engine, "in", "--json", "found.json")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("a.jpg", "b.png", "d.jpg"), strict=True):
        source, output = Path("in") / name, Path("yolact-output") / name
        assert re.fullmatch(
            rf"{re.escape(str(source))}: 2 persons, 1 dog, \d+\.\d ms -> {re.escape(str(output))}", line
        )
        assert read_image(output).shape == (40, 60, 3)
        assert (read_image(output) != read_image(source)).any()
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {Path('in/c.jpg')}: this JPEG is truncated")
    assert [row["source"] for row in read_json(here / "found.json")] == [
        str(Path("in") / n) for n in ("a.jpg", "b.png", "d.jpg")
    ]


def test_the_json_holds_what_was_found(engine: Path, here: Path) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools judges the masks")
    write_photo(here / "photo.png", 40, 60)
    assert infer(engine, "photo.png", "--json", "found.json").exit_code == 0
    (row,) = read_json(here / "found.json")
    assert (row["source"], row["width"], row["height"]) == ("photo.png", 60, 40)
    assert [(d["class_id"], d["class_name"], d["score"], d["box"]) for d in row["detections"]] == [
        (0, "person", 0.9, [0, 0, 30, 40]),
        (0, "person", 0.8, [30, 0, 60, 20]),
        (1, "dog", 0.7, [30, 20, 60, 40]),
    ]
    for detection in row["detections"]:
        expected = np.zeros((40, 60), np.uint8)
        left, top, right, bottom = (round(value) for value in detection["box"])
        expected[top:bottom, left:right] = 1
        decoded = coco.decode(detection["mask"])
        assert decoded.shape == expected.shape
        assert (decoded != expected).mean() < 0.03  # interpolation rounds the corners


@pytest.mark.parametrize("masks", ["polygon", "none"])
def test_other_forms_of_masks(engine: Path, here: Path, masks: str) -> None:
    write_photo(here / "photo.png", 40, 60)
    assert infer(engine, "photo.png", "--json", "found.json", "--masks", masks).exit_code == 0
    (row,) = read_json(here / "found.json")
    if masks == "none":
        assert all("mask" not in detection for detection in row["detections"])
        return
    for detection in row["detections"]:
        (outline,) = detection["mask"]
        points = np.array(outline).reshape(-1, 2)
        np.testing.assert_allclose([*points.min(axis=0), *(points.max(axis=0) + 1)], detection["box"], atol=1)


def test_a_real_network_finds_in_the_command_what_it_finds_in_python(
    tiny_engine: Path, here: Path, shared: Path
) -> None:
    photos = sorted((shared / "coco" / "images").glob("*.jpg"))[:3]
    result = infer(tiny_engine, *photos, "--json", "found.json", "--score-threshold", "0.05")
    assert result.exit_code == 0, result.stderr
    rows = read_json(here / "found.json")
    assert sum(len(row["detections"]) for row in rows) > 0
    with Detector.open(tiny_engine) as detector:
        for row, photo in zip(rows, photos, strict=True):
            expected = detector(read_image(photo)).select(0.05, 15)
            assert [d["class_id"] for d in row["detections"]] == expected.class_ids.tolist()
            assert [d["mask"] for d in row["detections"]] == expected.rle()
            scores, boxes = ([d[key] for d in row["detections"]] for key in ("score", "box"))
            np.testing.assert_allclose(scores, expected.ranking_scores, atol=1e-5)
            np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), expected.boxes, atol=0.006)


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ([], "2 persons, 1 dog"),
        (["--score-threshold", "0.75"], "2 persons"),
        (["--score-threshold", "0"], "2 persons, 1 dog, 1 traffic light"),
        (["--score-threshold", "1"], "no detections"),
        (["--top-k", "1"], "1 person"),
        (["--classes", "dog"], "1 dog"),
        (["--classes", "PERSON, 2", "--score-threshold", "0.05"], "2 persons, 1 traffic light"),
        (["--classes", "bus"], "no detections"),
        (["--classes", "dog", "--top-k", "1"], "1 dog"),
    ],
)
def test_what_is_shown(engine: Path, here: Path, options: list[str], summary: str) -> None:
    write_photo(here / "photo.jpg")
    result = infer(engine, "photo.jpg", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"photo.jpg: {summary}, ")


def test_mask_scores_rank_where_the_model_has_them(here: Path) -> None:
    engine = write_engine(here / "plus.onnx", mask_scores=[0.3, 0.75, 0.6, 0.05])
    write_photo(here / "photo.jpg")
    assert infer(engine, "photo.jpg", "--json", "found.json", "--top-k", "2").exit_code == 0
    (row,) = read_json(here / "found.json")
    assert [(d["class_name"], d["score"]) for d in row["detections"]] == [("person", 0.75), ("dog", 0.6)]


def test_inputs_of_the_same_name_and_a_pattern(engine: Path, here: Path) -> None:
    first, second = write_photo(here / "one" / "x.jpg"), write_photo(here / "two" / "x.jpg", 30, 50)
    result = infer(engine, "*/x.jpg", "--output", "out")
    assert result.exit_code == 0
    assert [line.split(" -> ")[1] for line in result.stdout.splitlines()] == [
        str(Path("out/x.jpg")),
        str(Path("out/x-2.jpg")),
    ]
    assert read_image(here / "out" / "x.jpg").shape == read_image(first).shape
    assert read_image(here / "out" / "x-2.jpg").shape == read_image(second).shape


def test_an_input_is_never_replaced(engine: Path, here: Path) -> None:
    photo = write_photo(here / "x.jpg")
    before = photo.read_bytes()
    assert infer(engine, "x.jpg", "--output", ".").exit_code == 0
    assert photo.read_bytes() == before
    assert (here / "x-2.jpg").exists()
    result = infer(engine, "x.jpg", "--json", "x.jpg")
    assert result.exit_code == 2
    assert "one of the inputs" in result.stderr
    assert photo.read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_file_names_that_are_no_text(engine: Path, here: Path) -> None:
    photo, film = Path(os.fsdecode(b"caf\xe9.png")), Path(os.fsdecode(b"caf\xe9.avi"))
    write_photo(photo)
    write_video(here / "film.avi", 3).rename(film)
    process = start(engine, photo, film, "--json", "found.json")
    output, errors = process.communicate()
    assert process.returncode == 1
    assert output.startswith("caf\ufffd.png: 2 persons")
    assert errors.startswith("error: caf\ufffd.avi: OpenCV opens videos by names in UTF-8 only")
    assert [row["source"] for row in read_json(here / "found.json")] == [str(photo)]
    assert read_image(Path("yolact-output") / photo).shape == (40, 60, 3)


def test_a_url(engine: Path, here: Path) -> None:
    write_photo(here / "served" / "photo.png")
    handler = functools.partial(QuietHandler, directory=str(here / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        result = infer(engine, f"{address}/photo.png", f"{address}/gone.png", "--json", "found.json")
        server.shutdown()
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{address}/photo.png: 2 persons, 1 dog, ")
    assert result.stderr == f"error: {address}/gone.png: the server answered 404 File not found\n"
    assert [row["source"] for row in read_json(here / "found.json")] == [f"{address}/photo.png"]
    assert read_image(here / "yolact-output" / "photo.png").shape == (40, 60, 3)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without telling about it."""

    def log_message(self, *_: object) -> None:
        pass


def test_unusual_images(engine: Path, here: Path) -> None:
    write_photo(here / "in" / "dot.png", 1, 1)
    write_photo(here / "in" / "strip.jpg", 3, 900)
    (here / "in" / "gray.png").write_bytes(cv2.imencode(".png", np.full((20, 30), 90, np.uint8))[1].tobytes())
    (here / "in" / "night.png").write_bytes(cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tobytes())
    result = infer(engine, "in", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    shapes = {(row["height"], row["width"]): len(row["detections"]) for row in read_json(here / "found.json")}
    assert shapes == {(1, 1): 3, (20, 30): 0, (3, 900): 3}
    assert ": no detections, " in result.stdout


def test_a_video(engine: Path, here: Path) -> None:
    write_video(here / "film.avi", 5)
    result = infer(engine, "film.avi", "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("film.avi frame 0: no detections, ")
    assert lines[4].startswith("film.avi frame 4: 2 persons, 1 dog, ")
    assert lines[5] == f"film.avi: 5 frames -> {Path('yolact-output/film.mp4')}"
    rows = read_json(here / "found.json")
    assert [(row["source"], row["frame"], len(row["detections"])) for row in rows] == [
        ("film.avi", index, 3 if index else 0) for index in range(5)
    ]
    with VideoReader("yolact-output/film.mp4", "film") as reader:
        assert (reader.fps, [frame.shape for frame in reader]) == (10, [(24, 32, 3)] * 5)


def test_a_video_that_breaks_off_counts_as_failed_and_keeps_what_there_is(engine: Path, here: Path) -> None:
    path = write_video(here / "film.avi", 40, (320, 240))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write_photo(here / "photo.jpg")
    result = infer(engine, "film.avi", "photo.jpg", "--json", "found.json")
    assert result.exit_code == 1
    assert re.fullmatch(r"error: film\.avi: the video ends after \d+ of 40 frames; copy it again\n", result.stderr)
    rows = read_json(here / "found.json")
    assert 1 < len(rows) < 40 and rows[-1]["source"] == "photo.jpg"
    with VideoReader("yolact-output/film.mp4", "film") as reader:
        assert len(list(reader)) == len(rows) - 1


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


def test_a_missing_file_does_not_stop_the_others(engine: Path, here: Path) -> None:
    write_photo(here / "photo.jpg")
    result = infer(engine, "gone.jpg", "photo.jpg")
    assert result.exit_code == 1
    assert result.stdout.startswith("photo.jpg: 2 persons")
    assert result.stderr.startswith("error: gone.jpg")


@pytest.mark.parametrize("option", [["--output", "file/out"], ["--json", "file/found.json"]])
def test_outputs_that_cannot_be_written_are_noticed_first(engine: Path, here: Path, option: list[str]) -> None:
    write_photo(here / "photo.jpg")
    (here / "file").touch()
    result = infer(engine, "photo.jpg", *option)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"error: cannot write .*file.*\n", result.stderr)


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


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts are sent in another way there")
def test_ctrl_c_closes_the_files(engine: Path, here: Path) -> None:
    write_video(here / "film.avi", LONG, (16, 16))
    process = start(engine, "film.avi", "--json", "found.json", "--masks", "none")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith("film.avi frame 0")
    process.send_signal(signal.SIGINT)
    output, errors = process.stdout.read(), process.stderr.read()
    assert (process.wait(), errors) == (130, "interrupted\n")
    frames = len(read_json(here / "found.json"))
    assert 0 < frames < LONG
    assert re.search(r"\d frames? -> yolact-output/film.mp4$", output)
    with VideoReader("yolact-output/film.mp4", "film") as reader:
        assert abs(len(list(reader)) - frames) <= 1
    assert {path.name for path in here.iterdir()} == {"film.avi", "found.json", "yolact-output"}


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
    modules = "atomic, detector, download, drawing, image_files, outputs, results, sources, video"
    found = "sorted({'click', 'tqdm', 'torch', 'onnx'} & set(sys.modules))"
    code = f"import sys; from yolact.runtime import {modules}; print({found})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
