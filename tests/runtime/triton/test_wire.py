"""What crosses the wire comes back as it was; anything else is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scripted_engine import write_engine
from triton_models import assert_all_same

from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.selection import Selection
from yolact.runtime.triton import wire
from yolact.runtime.triton.address import TritonAddress
from yolact.runtime.triton.model_facts import ModelFacts

IMAGES = [np.full((40, 61, 3), 9, np.uint8), np.zeros((5, 7, 3), np.uint8), np.full((33, 20, 3), 200, np.uint8)]
"""In the second one nothing is found, so the others' rows are more than its own."""


@pytest.mark.parametrize("coding", ["rle", "bits"])
@pytest.mark.parametrize("mask_scores", [None, [0.9, 0.8, 0.3, 0.1]])
def test_detections_come_back_as_they_were(
    coding: wire.MaskCoding, mask_scores: list[float] | None, tmp_path: Path
) -> None:
    with Detector.open(write_engine(tmp_path / "e.onnx", mask_scores)) as detector:
        found = detector(IMAGES)
        arrays = wire.encode(found, coding)
        specs = wire.outputs(coding, mask_rescoring=mask_scores is not None)
        assert arrays.keys() == specs.keys() and arrays["num_detections"].tolist() == [[4], [0], [4]]
        for name, (dtype, shape) in specs.items():
            assert arrays[name].dtype == dtype and arrays[name].shape[0] == 3, name
            assert arrays[name].shape[1:] == tuple(4 if size < 0 else size for size in shape), name
        assert_all_same(wire.decode(arrays, coding, detector.class_names), found)
        assert_all_same(wire.decode(wire.encode(found[1:2], coding), coding, detector.class_names), found[1:2])


def test_outlines_and_no_masks(engine: Path) -> None:
    with Detector.open(engine) as detector:
        (found,) = detector(IMAGES[:1])
    (text, *_) = wire.encode([found], "polygons")["masks"][0]
    assert text.startswith(b"[[") and text.endswith(b"]]")
    assert "masks" not in wire.encode([found], "none")
    for coding in ("polygons", "none"):
        with pytest.raises(ValueError, match="rle and from bits"):
            wire.decode(wire.encode([found], coding), coding, ())


@pytest.mark.parametrize(
    "name, value",
    [
        ("masks", b"x"),
        ("masks", b""),
        ("masks", b"\xff\xff"),
        ("image_sizes", (7, 7)),
        ("image_sizes", (-40, -61)),
        ("classes", 99),
        ("num_detections", 5),
    ],
)
def test_damaged_answers(name: str, value: object, engine: Path) -> None:
    with Detector.open(engine) as detector:
        arrays = wire.encode(detector(IMAGES[:1]), "rle")
    if name == "masks":
        arrays[name][0, 0] = value
    else:
        arrays[name][0] = value
    with pytest.raises(ValueError):
        wire.decode(arrays, "rle", detector.class_names)


@pytest.mark.parametrize("region", [(0, 0, 40, 62), (-1, 0, 5, 5), (5, 0, 0, 5), (0, 0, 39, 30)])
def test_damaged_bits(region: tuple[int, ...], engine: Path) -> None:
    with Detector.open(engine) as detector:
        arrays = wire.encode(detector(IMAGES[:1]), "bits")
    arrays["mask_regions"][0, 0] = region
    with pytest.raises(ValueError, match="does not fill"):
        wire.decode(arrays, "bits", detector.class_names)


@pytest.mark.parametrize(
    "wanted",
    [None, Selection(), Selection(0.1 + 0.2), Selection(-1.0, 0), Selection(0.5, 3, [2, 0]), Selection(0, 1, [])],
)
def test_what_is_wanted_comes_back_as_it_was(wanted: Selection | None) -> None:
    assert wire.from_parameters(wire.to_parameters(wanted), Selection(0.9, 1)) == wanted


def test_what_is_not_said_is_as_usual() -> None:
    usual = Selection(0.9, 1)
    assert wire.from_parameters({}, usual) == usual
    assert wire.from_parameters({"top_k": "5", "score_threshold": 1}, usual) == Selection(1, 5)
    assert (
        wire.from_parameters({"all": "false"}, usual) == usual and wire.from_parameters({"all": "true"}, usual) is None
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"threshold": 0.5},
        {"all": "yes"},
        {"all": None},
        {"score_threshold": "high"},
        {"score_threshold": "nan"},
        {"score_threshold": True},
        {"score_threshold": [0.5]},
        {"top_k": -1},
        {"top_k": "1.5"},
        {"top_k": True},
        {"top_k": "\uff19"},
        {"top_k": "1" * 99},
        {"class_ids": "person"},
        {"class_ids": "0,,1"},
        {"class_ids": "-1"},
        {"class_ids": True},
    ],
)
def test_other_parameters(parameters: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"the (request|parameter)"):
        wire.from_parameters(parameters, Selection())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("grpc://localhost:8001/yolact", TritonAddress("localhost", 8001, "yolact")),
        ("grpc://gpu-1.example/a.b_c-2", TritonAddress("gpu-1.example", 8001, "a.b_c-2")),
        ("grpcs://[::1]:9/m", TritonAddress("::1", 9, "m", True)),
    ],
)
def test_addresses(text: str, expected: TritonAddress) -> None:
    assert TritonAddress.parse(text) == expected == TritonAddress.parse(str(expected))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "yolact",
            "localhost:8001/yolact",
            "http://localhost:8000/yolact",
            "grpc:///yolact",
            "grpc://h",
            "grpc://h/",
        ),
        *("grpc://h/a/b", "grpc://h/a b", "grpc://h/.", "grpc://h:0x1/m", "grpc://h:99999/m", "grpc://[::1/m"),
        *("grpc://user:secret@h/m", "grpc://h/m?x=1", "grpc://h/m#x", "grpc://h/" + "m" * 101, "grpc://h/ä"),
    ],
)
def test_other_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        TritonAddress.parse(text)


def test_facts_of_a_model(engine: Path) -> None:
    with Detector.open(engine) as detector:
        facts = ModelFacts(detector.metadata, "bits", "model.onnx", "ab" * 32, Selection(0.25, 7), "inner", 4)
    parameters = facts.to_parameters()
    assert ModelFacts.from_parameters(parameters, "m") == facts
    for name in parameters.keys() - {"yolact.tool_version", "yolact.weights_sha256", "yolact.preprocessing"}:
        without = {key: value for key, value in parameters.items() if key != name}
        with pytest.raises(EngineError, match=r"^m .*(yolact-triton|yolact-export|export it again)"):
            ModelFacts.from_parameters(without, "m")
    for name, value in {
        "wire": "2",
        "masks": "png",
        "score_threshold": "2",
        "top_k": "-1",
        "min_batch": "many",
    }.items():
        with pytest.raises(EngineError, match="yolact-triton again"):
            ModelFacts.from_parameters(parameters | {f"serving.{name}": value}, "m")
