"""What a network may say: rows that are not finite or cannot be never reach a picture, a JSON file or an average."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from repository import ROOMS, ROOT
from scripted_engine import BOXES, CELLS, CLASS_NAMES, CLASSES, SCORES, infer, write_engine, write_photo

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError
from yolact.runtime.json_text import to_json
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.postprocess.output_check import OutputCheck
from yolact.runtime.postprocess.postprocess import ImageHeads, NetworkDetections, postprocess

MODEL = ModelConfig("scripted", "resnet50", 64, CLASS_NAMES)
NAN, INF = float("nan"), float("inf")

Change = Callable[[dict[str, np.ndarray]], None]


def answers() -> dict[str, np.ndarray]:
    return {
        "boxes": np.array(BOXES, np.float32),
        "scores": np.array(SCORES, np.float32),
        "classes": np.array(CLASSES, np.int32),
        "masks": np.full((4, CELLS, CELLS), 0.25, np.float32),
    }


def put(name: str, *values: Any) -> Change:
    """Let the second row of an output begin with these values."""

    def change(arrays: dict[str, np.ndarray]) -> None:
        row = arrays[name][1:2].reshape(-1)
        row[: len(values)] = values

    return change


IMPOSSIBLE = {
    "a NaN box": (put("boxes", NAN), "boxes"),
    "an infinite box": (put("boxes", 0, 0, INF), "boxes"),
    "a box without a left end": (put("boxes", -INF), "boxes"),
    "a box inside out": (put("boxes", 0.6, 0.1, 0.5, 0.2), "boxes"),
    "a box upside down": (put("boxes", 0.5, 0.3, 0.6, 0.2), "boxes"),
    "a box as large as floats": (put("boxes", -3e38, 0, 3e38, 1), "boxes"),
    "a box a thousand images wide": (put("boxes", 0, 0, 1000, 1), "boxes"),
    "a box to the left of the image": (put("boxes", -0.5, 0.1, 0, 0.2), "boxes"),
    "a box below the image": (put("boxes", 0.1, 1, 0.2, 1.5), "boxes"),
    "a NaN score": (put("scores", NAN), "scores"),
    "an infinite score": (put("scores", INF), "scores"),
    "a score below 0": (put("scores", -0.1), "scores"),
    "a score above 1": (put("scores", 1.5), "scores"),
    "a class that does not exist": (put("classes", 99), "classes"),
    "the class after the last": (put("classes", len(CLASS_NAMES)), "classes"),
    "a class below 0": (put("classes", -1), "classes"),
    "a NaN in a mask": (put("masks", NAN), "masks"),
    "an infinity in a mask": (put("masks", INF), "masks"),
    "a mask below 0": (put("masks", -INF), "masks"),
    "a NaN mask score": (put("mask_scores", NAN), "mask_scores"),
    "a mask score below 0": (put("mask_scores", -0.5), "mask_scores"),
    "a mask score as large as floats": (put("mask_scores", 3e38), "mask_scores"),
}


@pytest.mark.parametrize(("change", "name"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_row_is_left_out_and_its_tensor_named(
    change: Change, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    arrays = answers() | {"mask_scores": np.array([0.9, 0.9, 0.9, 1.25], np.float32)}
    change(arrays)

    found, rows = OutputCheck(MODEL).of_outputs(4, list(arrays.values()))

    assert rows.tolist() == [0, 2, 3]
    assert found.class_ids.tolist() == [0, 1, 2]
    assert np.array_equal(found.boxes, np.array(BOXES, np.float32)[rows])
    assert found.mask_scores is not None and found.mask_scores.tolist()[-1] == 1.25  # a predicted IoU may exceed 1
    [record] = caplog.records
    assert f"network's {name!r} is NaN, infinite or impossible in 1 of 4 detections" in record.getMessage()
    assert ("metadata name 4 classes" if name == "classes" else "overflow") in record.getMessage()


POSSIBLE = {
    "a box that reaches far out": put("boxes", -90, 0, 90, 1),
    "a box of no size": put("boxes", 0.5, 0.5, 0.5, 0.5),
    "a score of 1 and a rounding": put("scores", np.nextafter(np.float32(1), np.float32(2))),
    "a score of 0": put("scores", 0),
}


@pytest.mark.parametrize("change", POSSIBLE.values(), ids=POSSIBLE)
def test_what_is_only_odd_stays(
    change: Change, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    arrays = answers()
    change(arrays)
    found, _ = OutputCheck(MODEL).of_outputs(4, list(arrays.values()))
    assert len(found.scores) == 4 and not caplog.records and not recwarn.list


@pytest.mark.parametrize("count", [-1, 5, -(2**31), 2**31 - 1])
def test_a_count_that_cannot_be_ends_in_a_sentence(count: int) -> None:
    with pytest.raises(EngineError, match=f"reports {count} detections of at most 4"):
        OutputCheck(MODEL).of_outputs(count, list(answers().values()))


def test_a_warning_for_each_tensor_and_the_total_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    arrays, check = answers(), OutputCheck(MODEL)
    put("boxes", NAN)(arrays)
    put("scores", NAN)(arrays)  # the same row, which counts once
    for _ in range(3):
        check.of_outputs(4, list(arrays.values()))
    arrays["classes"][3] = 99
    check.of_outputs(4, list(arrays.values()))
    assert len(caplog.records) == 2
    check.close()
    [last] = caplog.records[2:]
    assert "in all, 4 rows" in last.getMessage() and "'boxes'" in last.getMessage()
    check.close()
    assert len(caplog.records) == 3


def make_heads(model: ModelConfig) -> ImageHeads:
    rng = np.random.default_rng(0)
    confidences = np.zeros((model.num_priors, model.num_classes + 1), np.float32)
    confidences[:, 0] = 20
    chosen = np.arange(0, model.num_priors, 37)
    confidences[chosen, 1 + chosen % model.num_classes] = 25 + rng.random(len(chosen), np.float32)
    return ImageHeads(
        rng.normal(size=(model.num_priors, 4)).astype(np.float32),
        confidences,
        rng.normal(size=(model.num_priors, model.num_coefficients)).astype(np.float32),
        rng.random((model.num_coefficients, model.prototype_size, model.prototype_size), np.float32),
    )


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["locations", "confidences", "coefficients"])
def test_a_prior_that_is_not_finite_is_background(
    tiny_config: ModelConfig,
    name: str,
    value: float,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    heads, settings = make_heads(tiny_config), PostprocessConfig()
    without = make_heads(tiny_config)
    for prior in (0, 37, 74):  # each would have been found
        getattr(heads, name)[prior, -1] = value
        without.confidences[prior] = [30, 0, 0, 0]

    found, _ = OutputCheck(tiny_config).of_heads(heads, settings)

    expected = postprocess(without, tiny_config, settings)
    assert len(found.scores) and np.array_equal(found.boxes, expected.boxes)
    assert np.array_equal(found.masks, expected.masks)
    [record] = caplog.records
    assert f"{name!r} is NaN, infinite or impossible in 3 of {tiny_config.num_priors} priors" in record.getMessage()
    assert not recwarn.list


def test_prototypes_that_are_not_finite_leave_no_detection(
    tiny_config: ModelConfig, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    heads = make_heads(tiny_config)
    heads.prototypes[:] = NAN
    heads.locations[37] = [0, 0, 3e38, 0]  # a width that overflows
    heads.confidences[37] = [0, 40, 0, 0]  # of the best prior of its class
    found, coefficients = OutputCheck(tiny_config).of_heads(heads, PostprocessConfig())
    assert len(found.scores) == len(coefficients) == 0
    assert {"'boxes'", "'masks'"} == {record.getMessage().split()[2] for record in caplog.records}
    assert not recwarn.list


def broken_engine(path: Path) -> Path:
    arrays = answers()
    put("boxes", NAN)(arrays)
    arrays["scores"][2] = INF
    arrays["classes"][3] = 99
    return write_engine(path, **arrays)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in JSON")


def test_the_command_goes_on_and_writes_json(here: Path) -> None:
    photos = [write_photo(here / f"{name}.png") for name in "abc"]
    result = infer(broken_engine(here / "broken.onnx"), *photos, "--json", here / "found.json")
    assert result.exit_code == 0, result.output
    rows = json.loads((here / "found.json").read_text(), parse_constant=refuse)
    assert [[one["class_name"] for one in row["detections"]] for row in rows] == [["person"]] * 3
    assert result.stderr.count("warning: the network's") == 3
    assert "in all, 3 rows were left out because of the network's 'scores'" in result.stderr
    assert cv2.imread(str(here / "yolact-output" / "a.png")) is not None


def test_in_batches_each_image_keeps_its_own_rows(here: Path) -> None:
    images = [np.full((20, 30, 3), level, np.uint8) for level in (0, 200, 0, 200)]  # nothing is found in black ones
    with Detector.open(broken_engine(here / "broken.onnx")) as detector:
        assert [len(found) for found in detector(images)] == [0, 1, 0, 1]


def test_an_overflow_inside_a_raw_file(tiny_raw_engine: Path, here: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One weight that is infinite in one channel of the head, as an fp16 file may have it."""
    proto = onnx.load(tiny_raw_engine)
    bias = next(one for one in proto.graph.initializer if one.name.endswith("conf_layer.bias"))
    values = numpy_helper.to_array(bias).copy()
    values[-1] = INF
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(proto, here / "overflow.onnx")
    engine = OnnxEngine(here / "overflow.onnx")
    size = engine.metadata.config.image_size
    [found] = engine.detect(np.full((1, size, size, 3), 90, np.uint8))
    assert isinstance(found, NetworkDetections) and np.isfinite(found.scores).all()
    assert "'confidences'" in caplog.text


def test_json_is_what_every_reader_takes() -> None:
    values = {"source": "caf\udce9.png", "names": ["漢", "😀"]}
    assert to_json(values).isascii() and json.loads(to_json(values)) == values
    for number in (NAN, INF, -INF):
        with pytest.raises(ValueError):
            to_json([{"score": number}])


def test_nothing_else_writes_json() -> None:
    """A second writer would have to be told again what JSON lacks."""
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    writers = {str(path.relative_to(ROOT)) for path in files if "json.dumps(" in path.read_text(encoding="utf-8")}
    shown = {"training/monitor.py", "training/data/coco/json_values.py"}  # in TensorBoard, and in messages
    assert writers == {"runtime/json_text.py"} | shown
