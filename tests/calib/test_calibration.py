"""Calibration: what is measured, what the cache knows, and what happens when something is wrong."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from seeded import seeded

from yolact.calib import calibration, image_set
from yolact.calib.activation_statistics import TensorStatistics, ValueRange
from yolact.calib.calibration import calibrate
from yolact.calib.calibration_files import (
    CalibrationKey,
    Progress,
    read_progress,
    read_ranges,
    write_progress,
    write_ranges,
)
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions, progress_file
from yolact.calib.qdq import Ranges, insert_qdq_pairs
from yolact.calib.quantization_points import MODULES, find_quantization_points
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import AccuracyError, ImageError, UsageError, YolactError
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.preprocess import Preprocessor

CONFIG = ModelConfig("tiny", "mobilenet_v2", 96, ("a", "b", "c"), fpn_channels=64)
COUNT = 20


@pytest.fixture(scope="module")
def proto() -> onnx.ModelProto:
    return export_model(seeded(CONFIG), PostprocessConfig(), weights_sha256="", graph="raw")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several sizes, some in a folder below."""
    path = tmp_path_factory.mktemp("images")
    (path / "more").mkdir()
    for index in range(COUNT):
        name = f"more/{index:02}.png" if index % 5 == 4 else f"{index:02}.png"
        cv2.imwrite(str(path / name), make_check_image(60 + index, 130 - 3 * index, index))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images that are read, as they are."""
    seen: list[Path] = []
    read = image_set.read_image

    def record(path: Path) -> np.ndarray:
        seen.append(path)
        return read(path)

    monkeypatch.setattr(image_set, "read_image", record)
    return seen


def limits_by_hand(proto: onnx.ModelProto, folder: Path) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of what every convolution reads, all images in one batch."""
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    names = list(dict.fromkeys(node.input[0] for node in convolutions))
    probed = onnx.ModelProto()
    probed.CopyFrom(proto)
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(probed.SerializeToString(), providers=["CPUExecutionProvider"])
    images = Preprocessor(CONFIG.image_size)([cv2.imread(str(path)) for path in sorted(folder.rglob("*.png"))])
    values = dict(zip(names, session.run(names, {"images": images}), strict=True))
    return {node.name: (values[node.input[0]].min(), values[node.input[0]].max()) for node in convolutions}


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_limits_are_those_of_all_images(proto: onnx.ModelProto, folder: Path, batch: int) -> None:
    ranges = calibrate(proto, ImageSet.of_folder(folder, 500), CalibrationOptions("minmax", batch))
    expected = limits_by_hand(proto, folder)
    found = {consumer.node: limits for consumer, limits in ranges.items() if consumer.node in expected}
    assert found.keys() == expected.keys()
    for node, limits in found.items():
        np.testing.assert_allclose(limits, (min(expected[node][0], 0), max(expected[node][1], 0)), rtol=1e-3, atol=1e-3)


def test_every_point_has_a_range_and_narrower_ones_for_narrower_algorithms(
    proto: onnx.ModelProto, folder: Path
) -> None:
    images = ImageSet.of_folder(folder, 500)
    found = {name: calibrate(proto, images, CalibrationOptions(name)) for name in ("minmax", "percentile", "entropy")}
    for platform in ("cpu", "tensorrt"):
        points = find_quantization_points(proto, MODULES, (), platform)
        assert {consumer for consumers in points.activations for consumer in consumers} <= found["minmax"].keys()
    for consumer, (low, high) in found["minmax"].items():
        for other in ("percentile", "entropy"):
            assert low <= found[other][consumer][0] <= 0 <= found[other][consumer][1] <= high


def test_full_graphs_have_the_same_ranges(proto: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    """And share the cache."""
    full = export_model(seeded(CONFIG), PostprocessConfig(), weights_sha256="other", graph="full")
    images, options = ImageSet.of_folder(folder, 3), CalibrationOptions(cache=tmp_path / "c.json")
    assert calibrate(full, images, options) == calibrate(proto, images, options)


def test_cache_spares_the_images(proto: onnx.ModelProto, folder: Path, tmp_path: Path, reads: list[Path]) -> None:
    images, options = ImageSet.of_folder(folder, 6), CalibrationOptions(cache=tmp_path / "c.json")
    first = calibrate(proto, images, options)
    assert len(reads) == 6 and options.cache is not None and json.loads(options.cache.read_text())
    assert calibrate(proto, images, options) == first
    assert len(reads) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_stale_cache_is_refused(proto: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    images, options = ImageSet.of_folder(folder, 3), CalibrationOptions(cache=tmp_path / "c.json")
    calibrate(proto, images, options)
    others = onnx.ModelProto()
    others.CopyFrom(proto)
    weight = next(tensor for tensor in others.graph.initializer if tensor.name == "prediction_layers.0.bbox_layer.bias")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.001), weight.name))
    larger = export_model(seeded(replace(CONFIG, image_size=128)), PostprocessConfig(), weights_sha256="", graph="raw")
    for model, data, algorithm, match in (
        (others, images, "percentile", "another network;"),
        (larger, images, "percentile", "another network, another preprocessing;"),
        (proto, ImageSet.of_folder(folder, 4), "percentile", "another images;"),
        (proto, images, "minmax", "another algorithm;"),
    ):
        with pytest.raises(UsageError, match=match):
            calibrate(model, data, replace(options, algorithm=algorithm))


def test_a_changed_image_makes_the_cache_stale(proto: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "images"
    copy.mkdir()
    cv2.imwrite(str(copy / "a.png"), make_check_image(50, 60, 1))
    options = CalibrationOptions(cache=tmp_path / "c.json")
    calibrate(proto, ImageSet.of_folder(copy, 9), options)
    cv2.imwrite(str(copy / "a.png"), make_check_image(50, 60, 2))
    with pytest.raises(UsageError, match="another images;"):
        calibrate(proto, ImageSet.of_folder(copy, 9), options)


KEY = '"key": {"network": "a", "preprocessing": "b", "images": "c", "algorithm": "d"}'
RANGES = (
    "[5, -5]", "[1, 2]", "[-2, -1]", "[-1e308, 1e308]", "[-1, 1e999]", "[NaN, 1]", "[-1, Infinity]", "[0]", "[0, 1, 2]",
    "[0, true]", '["0", "1"]', "{}", "7", f"[0, {10**400}]", "[0, 1" + "0" * 5000 + "]", "[[0], [1]]",
)  # fmt: skip
DAMAGED_CACHES = (
    *("", "{", "[]", '{"schema": 1}', '{"schema": 9, "key": {}, "ranges": {}}', "\0\xff"),
    *("[" * 200_000, '{"a":' * 200_000, '{"schema": 1, "key": [], "ranges": {}}', '{"schema": true, "ranges": {}}'),
    f'{{"schema": 1, {KEY}, "ranges": []}}',
    f'{{"schema": 1, {KEY}, "ranges": {{"a": [0, 1]}}',  # half-written
    *(f'{{"schema": 1, {KEY}, "ranges": {{"a": {one}}}}}' for one in RANGES),
)


@pytest.mark.parametrize("content", DAMAGED_CACHES, ids=range(len(DAMAGED_CACHES)))
def test_damaged_cache_is_refused(proto: onnx.ModelProto, folder: Path, tmp_path: Path, content: str) -> None:
    cache = tmp_path / "c.json"
    cache.write_text(content)
    with pytest.raises(YolactError, match="is no calibration cache, or a damaged one"):
        calibrate(proto, ImageSet.of_folder(folder, 2), CalibrationOptions(cache=cache))
    assert cache.read_text() == content


def test_a_range_that_is_not_finite_survives_the_cache(tmp_path: Path) -> None:
    key, cache = CalibrationKey("a", "b", "c", "d"), tmp_path / "c.json"
    write_ranges(cache, key, {"a": ValueRange(-1.5, 2), "b": ValueRange(float("nan"), float("nan"))})
    found = read_ranges(cache, key)
    assert found is not None and found["a"] == (-1.5, 2.0) and math.isnan(found["b"].low + found["b"].high)
    json.loads(cache.read_text(), parse_constant=pytest.fail)


PROGRESS = {
    "whole": (lambda arrays: arrays, True),
    "fewer counts": (lambda arrays: arrays | {"counts": arrays["counts"][:, :5]}, False),
    "negative counts": (lambda arrays: arrays | {"counts": -1 - arrays["counts"]}, False),
    "NaN counts": (lambda arrays: arrays | {"counts": arrays["counts"] * np.nan}, False),
    "no names": (lambda arrays: {name: array for name, array in arrays.items() if name != "names"}, False),
    "more names": (lambda arrays: arrays | {"names": np.array(["a", "b"])}, False),
    "limits the wrong way": (lambda arrays: arrays | {"limits": np.array([[5.0, -5.0]])}, False),
    "texts for limits": (lambda arrays: arrays | {"limits": np.array([["a", "b"]])}, False),
    "images before the first": (lambda arrays: arrays | {"done": np.array(-3)}, False),
    "no number of images": (lambda arrays: arrays | {"done": np.array("x")}, False),
}


@pytest.mark.parametrize(("change", "known"), PROGRESS.values(), ids=PROGRESS)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_progress_is_none(
    change: Callable[[dict[str, Any]], dict[str, Any]], known: bool, save: Callable[..., None], tmp_path: Path
) -> None:
    key, cache = CalibrationKey("a", "b", "c", "d"), tmp_path / "c.json"
    write_progress(cache, key, Progress(3, {"a": TensorStatistics()}))
    path = progress_file(cache)
    with np.load(path) as stored:
        arrays = dict(stored)
    with path.open("wb") as file:
        save(file, **change(arrays))
    assert (read_progress(cache, key) is not None) == (known and save is np.savez)
    path.write_bytes(path.read_bytes()[:-40])
    assert read_progress(cache, key) is None


def test_interrupted_calibration_goes_on_where_it_was(
    proto: onnx.ModelProto, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, options = ImageSet.of_folder(folder, COUNT), CalibrationOptions(cache=tmp_path / "c.json")
    whole = calibrate(proto, images, CalibrationOptions())
    read, seen = image_set.read_image, []

    def interrupt(path: Path) -> np.ndarray:
        seen.append(path)
        if len(seen) == 19:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(image_set, "read_image", interrupt)
    monkeypatch.setattr(calibration, "_SAVE_SECONDS", 0)  # after every image
    with pytest.raises(KeyboardInterrupt):
        calibrate(proto, images, options)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json.partial"]
    done = len(seen)
    resumed = calibrate(proto, images, options)
    assert len(seen) - done == COUNT - 18
    _assert_same(resumed, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def _assert_same(found: Ranges, expected: Ranges) -> None:
    assert found.keys() == expected.keys()
    for consumer, limits in expected.items():
        assert found[consumer] == limits


def test_progress_of_something_else_is_not_taken(
    proto: onnx.ModelProto, folder: Path, tmp_path: Path, reads: list[Path]
) -> None:
    other = tmp_path / "other.json"
    write_progress(other, CalibrationKey("a", "b", "c", "d"), Progress(1, {"x": TensorStatistics()}))
    for partial in (b"", b"rubbish", other.with_name("other.json.partial").read_bytes()):
        (tmp_path / "c.json.partial").write_bytes(partial)
        calibrate(proto, ImageSet.of_folder(folder, 2), CalibrationOptions(cache=tmp_path / "c.json"))
        (tmp_path / "c.json").unlink()
    assert len(reads) == 6


def test_progress_of_other_tensors_is_not_taken(
    proto: onnx.ModelProto, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    """As a version that rounds others would leave it."""
    images, cache = ImageSet.of_folder(folder, 3), tmp_path / "c.json"
    monkeypatch.setattr(calibration, "_SAVE_SECONDS", 0)
    partial = cache.with_name("c.json.partial")
    kept: list[bytes] = []
    monkeypatch.setattr(calibration, "write_ranges", lambda *_: kept.append(partial.read_bytes()))
    first = calibrate(proto, images, CalibrationOptions(cache=cache))
    with np.load(io.BytesIO(kept[0])) as stored:
        arrays = dict(stored)
    arrays["names"] = np.array(["gone", *arrays["names"][1:]])
    np.savez(partial.open("wb"), **arrays)
    assert calibrate(proto, images, CalibrationOptions(cache=cache)) == first
    assert len(reads) == 6


def test_names_need_not_be_text(tmp_path: Path) -> None:
    image = tmp_path / os.fsdecode(b"a\xff.png")
    cv2.imwrite(str(tmp_path / "a.png"), make_check_image(50, 60, 1))
    (tmp_path / "a.png").rename(image)
    assert len(ImageSet.of_folder(tmp_path, 3)) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_values_that_make_no_range_concern_those_who_need_it(
    proto: onnx.ModelProto, folder: Path, value: float
) -> None:
    damaged = onnx.ModelProto()
    damaged.CopyFrom(proto)
    for tensor in damaged.graph.initializer:
        if tensor.name in ("fpn.pred_layers.0.weight", "fpn.pred_layers.0.bias"):
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), value), tensor.name))
    ranges = calibrate(damaged, ImageSet.of_folder(folder, 2), CalibrationOptions())
    insert_qdq_pairs(damaged, find_quantization_points(damaged, ["backbone"], (), "tensorrt"), ranges, "tensorrt")
    with pytest.raises(AccuracyError, match=r"values of '\S*fpn.pred_layers.0\S*' are (not finite|all zero) on the"):
        insert_qdq_pairs(damaged, find_quantization_points(damaged, ["head"], (), "tensorrt"), ranges, "tensorrt")


def test_images_are_spread_over_the_names(folder: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in ImageSet.of_folder(folder, 500).paths]
    assert names == sorted(names) and len(names) == COUNT
    few = [path.relative_to(folder).as_posix() for path in ImageSet.of_folder(folder, 4).paths]
    assert few == names[::5]
    assert len(ImageSet.of_folder(folder, 1)) == 1


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no image")
    with pytest.raises(UsageError, match=r"expected images .* found none there or in folders below"):
        ImageSet.of_folder(tmp_path, 5)
    with pytest.raises(UsageError, match="there is no such folder"):
        ImageSet.of_folder(tmp_path / "none", 5)


def test_hidden_files_and_folders_are_passed_over(folder: Path, tmp_path: Path) -> None:
    """As macOS leaves them in archives and on foreign disks."""
    good = next(folder.glob("*.png")).read_bytes()
    for name in ("a.png", ".b.png", "._a.png", "__MACOSX/._a.png", ".trash/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(good if name == "a.png" else b"no image")
    assert ImageSet.of_folder(tmp_path, 9).paths == (tmp_path / "a.png",)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UsageError, match="found none there or in folders below"):
        ImageSet.of_folder(tmp_path, 9)


def test_images_of_one_colour_are_told(tmp_path: Path) -> None:
    scene = make_check_image(90, 120, 1)
    for name, image in {
        "a.png": scene,
        "b.jpg": np.full_like(scene, 40),
        "c.png": np.full_like(scene, (255, 0, 90)),
        "d.png": np.where(scene > 3, 10, 12).astype(np.uint8),
        "night.png": scene // 16,
    }.items():
        cv2.imwrite(str(tmp_path / name), image)
    images = ImageSet.of_folder(tmp_path, 9)
    assert [path.name for path in images.flat] == ["b.jpg", "c.png", "d.png"]
    (sentence,) = images.doubts()
    assert sentence.startswith("3 of 5 calibration images have one colour only and tell nothing: ")
    assert ImageSet.of_folder(tmp_path, 1).doubts() == []


def test_every_image_is_checked_at_first(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), make_check_image(50, 60, 1))
    (tmp_path / "b.jpg").write_bytes(b"no image")
    (tmp_path / "c.jpg").touch()
    with pytest.raises(ImageError, match=r"b\.jpg: this is no image in a format .* \(and 1 more of 3 images\)$"):
        ImageSet.of_folder(tmp_path, 9)


def test_an_image_that_cannot_be_read_is_named(proto: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    good = next(folder.glob("*.png")).read_bytes()
    (tmp_path / "a.png").write_bytes(good)
    (tmp_path / "b.png").write_bytes(good[: len(good) // 2])
    with pytest.raises(ImageError, match=r"b\.png"):
        calibrate(proto, ImageSet.of_folder(tmp_path, 9), CalibrationOptions())
