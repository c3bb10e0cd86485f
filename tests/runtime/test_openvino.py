"""OpenVINO on the CPU beside ONNX Runtime: the same files, the same outputs, the same detections."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import pytest
from numpy.typing import NDArray
from scripted_engine import write_engine
from seeded import seeded

from benchmarks.images import BIN
from benchmarks.networks import DEMO, quantised
from yolact.calib.calibration import calibrate
from yolact.calib.image_set import ImageSet
from yolact.calib.options import CalibrationOptions
from yolact.calib.qdq import Ranges
from yolact.calib.quantization_points import DEFAULT_MODULES, Platform
from yolact.diff.detection_diff import DetectionTotals, compare_detections
from yolact.export.half_emulation import emulate_half
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.engine import ComputePrecision, DeviceChoice
from yolact.runtime.errors import EngineError
from yolact.runtime.images.image_files import read_image, write_image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.openvino.engine import OpenVinoEngine
from yolact.runtime.openvino.inlining import inlined
from yolact.runtime.openvino.library import core
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS
from yolact.training.models.darknet import Darknet53
from yolact.training.models.resnet import ResNet

FEW = PostprocessConfig(max_detections=20)
ROUNDING = 1e-4
"""What another order of sums may change in float32, of values of a few units."""


def opened(path: Path, precision: ComputePrecision = "file") -> OpenVinoEngine:
    return OpenVinoEngine(path, 1, precision=precision)


def pixels_of(size: int, photos: list[NDArray[Any]]) -> NDArray[np.uint8]:
    """What a network of this size sees of photos (N, S, S, 3)."""
    return Preprocessor(size)(photos)


def assert_equal_arrays(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=ROUNDING, atol=ROUNDING)


def by_place(outputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Outputs of a full graph with the detections of each image by class and left edge: rounding may let two whose
    scores are nearly the same change places."""
    count, boxes, scores, classes, *others = outputs
    order = np.lexsort((boxes[..., 0], classes))
    rows = np.arange(len(order))[:, None]
    return [count, *(array[rows, order] for array in (boxes, scores, classes, *others))]


def assert_same(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 0 and found.image_size == expected.image_size
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0, atol=0.05)
    assert found.masks.shape == expected.masks.shape
    assert (found.masks != expected.masks).mean() < ROUNDING


@pytest.mark.parametrize("name", ["tiny_engine", "tiny_raw_engine"])
def test_photos_alone_and_together(request: pytest.FixtureRequest, name: str, photos: list[NDArray[Any]]) -> None:
    path = request.getfixturevalue(name)
    with Detector.open(path, device="openvino", threads=1) as ours, Detector.open(path, threads=1) as theirs:
        assert str(ours.engine.device) == "openvino" and ours.metadata == theirs.metadata
        assert (ours.engine.min_batch, ours.max_batch) == (1, None)
        alone, together = [ours(photo) for photo in photos], ours(photos)
        for one, in_batch, expected in zip(alone, together, theirs(photos), strict=True):
            assert_same(one, expected)
            assert_same(in_batch, expected)
        assert len(alone[0]) == 20  # the most that there can be
        for found, expected in zip(ours.stream(photos, batch_size=2), alone, strict=True):
            assert_same(found, expected)


def test_a_fixed_batch(
    tiny_config: ModelConfig, export_seeded: Callable[..., Path], photos: list[NDArray[Any]], tmp_path: Path
) -> None:
    path = export_seeded(tiny_config, tmp_path / "two.onnx", FEW, batch=2, inline_functions=True)
    with Detector.open(path, device="openvino", threads=1) as ours, Detector.open(path, threads=1) as theirs:
        assert (ours.engine.min_batch, ours.max_batch) == (2, 2)
        for found, expected in zip(ours(photos), theirs(photos), strict=True):
            assert_same(found, expected)
        with pytest.raises(EngineError, match=r"could not run a batch of shape \(1, "):
            ours.engine.detect(pixels_of(tiny_config.image_size, photos[:1]))


def test_no_detections_and_all_of_them(tmp_path: Path) -> None:
    """An engine with known answers, for a black image beside a white one."""
    path = write_engine(tmp_path / "rescored.onnx", mask_scores=[0.3, 0.6, 0.5, 0.05])
    images = [np.zeros((30, 50, 3), np.uint8), np.full((71, 20, 3), 255, np.uint8)]
    with Detector.open(path, device="openvino", threads=1) as ours, Detector.open(path) as theirs:
        (nothing, everything), (_, expected) = ours(images), theirs(images)
        assert len(nothing) == 0 and nothing.masks.shape == (0, 30, 50)
        assert len(everything) == 4
        assert_same(everything, expected)
        np.testing.assert_array_equal(everything.mask_scores, expected.mask_scores)
        assert ours([]) == []


KINDS = ("yolact_resnet50", "yolact_plus_resnet50", "yolact_darknet53", "yolact_edge_mobilenetv2")
"""Configurations with every kind of layer. The others have more of these layers, other anchors or other classes."""


@pytest.mark.parametrize("name", KINDS)
def test_official_networks(
    name: str, photos: list[NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All their layers, their anchors and classes, with fewer channels and smaller images."""
    for backbone in (ResNet, Darknet53):
        monkeypatch.setattr(backbone, "channels", tuple(channels // 4 for channels in backbone.channels))
    size, count = (256, 1) if CONFIGS[name].mask_rescoring else (96, 2)
    config = replace(CONFIGS[name], name=f"{name}_narrow", image_size=size, fpn_channels=64)
    path = tmp_path / "small.onnx"
    onnx.save(export_model(seeded(config), FEW, weights_sha256=""), path)
    images = pixels_of(size, photos[:count])
    found, expected = (engine.run(images) for engine in (opened(path), OnnxEngine(path, 1)))
    assert_equal_arrays(by_place(found), by_place(expected))
    assert (found[0] == 20).all()


SMALL = ModelConfig("tiny", "mobilenet_v2", 96, ("person", "dog", "kite"), fpn_channels=64)


@pytest.fixture(scope="module")
def exact() -> onnx.ModelProto:
    """Heads of `SMALL` in float32."""
    return export_model(seeded(SMALL), FEW, weights_sha256="", graph="raw")


@pytest.fixture(scope="module")
def ranges(exact: onnx.ModelProto, photos: list[NDArray[Any]], tmp_path_factory: pytest.TempPathFactory) -> Ranges:
    """Of the tensors of `exact` on the photos."""
    folder = tmp_path_factory.mktemp("photos")
    for index, photo in enumerate(photos):
        write_image(folder / f"{index}.png", photo)
    return calibrate(exact, ImageSet.of_folder(folder, len(photos)), CalibrationOptions())


def far(found: list[NDArray[Any]], expected: list[NDArray[Any]]) -> float:
    """The mean difference of heads as a share of their mean size, of the head where that is largest."""
    return max(float(abs(a - b).mean() / abs(b).mean()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("platform", DEFAULT_MODULES)
def test_int8(
    exact: onnx.ModelProto, ranges: Ranges, photos: list[NDArray[Any]], tmp_path: Path, platform: Platform
) -> None:
    """Kernels for INT8 round differently. OpenVINO's heads are as near to those in float32 as ONNX Runtime's."""
    onnx.save(exact, tmp_path / "exact.onnx")
    onnx.save(quantised(exact, ranges, DEFAULT_MODULES[platform], platform), tmp_path / "int8.onnx")
    images = pixels_of(SMALL.image_size, photos)
    expected = OnnxEngine(tmp_path / "exact.onnx", 1).run(images)
    ours, theirs = opened(tmp_path / "int8.onnx").run(images), OnnxEngine(tmp_path / "int8.onnx", 1).run(images)
    assert 0.001 < far(theirs, expected) < 0.1
    assert far(ours, expected) < 1.2 * far(theirs, expected)
    assert far(ours, theirs) < 2 * far(theirs, expected)


def test_int8_of_a_trained_model(tmp_path: Path) -> None:
    """OpenVINO computes it wrongly unless it is told how many images there will be."""
    model, bins = load_checkpoint(DEMO).eval(), [read_image(path) for path in sorted(BIN.parent.iterdir())[:3]]
    full, raw = (export_model(model, PostprocessConfig(), weights_sha256="", graph=graph) for graph in ("full", "raw"))
    ranges = calibrate(raw, ImageSet.of_folder(BIN.parent, 4), CalibrationOptions())
    onnx.save(quantised(full, ranges, DEFAULT_MODULES["cpu"], "cpu"), path := tmp_path / "int8.onnx")
    with Detector.open(path, device="openvino", threads=1) as ours, Detector.open(path, threads=1) as theirs:
        pairs = zip(ours(bins), theirs(bins), strict=True)
        totals = DetectionTotals.of(compare_detections(found, expected, 0.5, 0.1) for found, expected in pairs)
    assert totals.matched > 10 and totals.missed + totals.spurious <= 2
    assert totals.median_mask_iou is not None and totals.median_mask_iou > 0.95


def test_fp16(photos: list[NDArray[Any]], tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    onnx.save(export_model(seeded(SMALL), FEW, weights_sha256="", graph="raw", precision="fp16"), path)
    images = pixels_of(SMALL.image_size, photos)
    assert far(opened(path).run(images), OnnxEngine(path, 1).run(images)) < 1e-3


def test_bf16(exact: onnx.ModelProto, photos: list[NDArray[Any]], tmp_path: Path) -> None:
    """Which ONNX Runtime does not run on a CPU: beside the emulation that exports are checked by."""
    path = tmp_path / "half.onnx"
    proto = export_model(seeded(SMALL), FEW, weights_sha256="", graph="raw", precision="bf16")
    onnx.save(proto, path)
    onnx.save(emulate_half(proto), tmp_path / "emulated.onnx")
    onnx.save(exact, tmp_path / "exact.onnx")
    images = pixels_of(SMALL.image_size, photos)
    expected, emulated = (OnnxEngine(tmp_path / f"{name}.onnx", 1).run(images) for name in ("exact", "emulated"))
    assert far(opened(path).run(images), expected) < 1.2 * far(emulated, expected) < 0.05


def test_the_precision_that_openvino_takes_by_itself(
    exact: onnx.ModelProto, photos: list[NDArray[Any]], tmp_path: Path
) -> None:
    """Unless asked for it computes in float32, also where the processor has something quicker."""
    path = tmp_path / "exact.onnx"
    onnx.save(exact, path)
    images = pixels_of(SMALL.image_size, photos)
    expected = OnnxEngine(path, 1).run(images)
    assert_equal_arrays(opened(path).run(images), expected)
    rounded = opened(path, "auto").run(images)
    if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert 1e-4 < far(rounded, expected) < 0.02
    else:
        assert far(rounded, expected) < 1e-6


def test_the_tiny_network_without_functions(tiny_engine: Path) -> None:
    """The weights that were put aside are all there again, in their order."""
    expected = onnx.inliner.inline_local_functions(onnx.load(tiny_engine))
    proto = onnx.load(tiny_engine)
    found = onnx.ModelProto.FromString(inlined(proto))
    assert not found.functions and found == expected
    assert onnx.ModelProto.FromString(inlined(found)) == expected


@pytest.mark.parametrize("name", ["tiny_engine", "tiny_raw_engine"])
def test_no_array_is_used_twice(request: pytest.FixtureRequest, name: str) -> None:
    """Of images that do not lie in one piece, and in several threads at once."""
    engine = opened(request.getfixturevalue(name))
    size = engine.metadata.config.image_size
    rng = np.random.default_rng(3)
    batches = [rng.integers(0, 256, (count, size, size, 6), np.uint8)[..., ::2] for count in (1, 2, 1, 3)]
    kept = [images.copy() for images in batches]
    expected = [OnnxEngine(request.getfixturevalue(name), 1).run(images) for images in batches]
    with ThreadPoolExecutor(2) as pool:
        answers = [*pool.map(engine.run, batches), *pool.map(engine.run, batches)]
    for found, wanted in zip(answers, expected * 2, strict=True):
        assert_equal_arrays(found, wanted)
    arrays = [array for found in answers for array in found]
    assert not any(np.shares_memory(a, b) for index, a in enumerate(arrays) for b in arrays[:index])
    for images, copy in zip(batches, kept, strict=True):
        np.testing.assert_array_equal(images, copy)


def test_batches_that_are_none(tiny_engine: Path) -> None:
    engine = opened(tiny_engine)
    size = engine.metadata.config.image_size
    for shape, dtype in (
        ((1, size, size, 3), np.float32),
        ((1, size, size + 1, 3), np.uint8),
        ((size, size, 3), np.uint8),
    ):
        with pytest.raises(EngineError, match=r"OpenVINO could not run a batch of shape \(.*\)") as caught:
            engine.run(np.zeros(shape, dtype))
        assert "\n" not in str(caught.value) and "src/" not in str(caught.value).split("failed at")[0]
    engine.run(np.zeros((1, size, size, 3), np.uint8))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="was closed"):
        engine.run(np.zeros((1, size, size, 3), np.uint8))


def test_other_processes_open_it_likewise(tiny_raw_engine: Path, photos: list[NDArray[Any]]) -> None:
    with Detector.open(tiny_raw_engine, device="openvino", threads=1, precision="auto") as detector:
        assert repr(detector) == f"<Detector: {tiny_raw_engine} on openvino, 3 classes (person, dog, kite)>"
        again = pickle.loads(pickle.dumps(detector))
        assert str(again.engine.device) == "openvino" and again._reopen.keywords["precision"] == "auto"
        np.testing.assert_array_equal(again(photos[0]).boxes, detector(photos[0]).boxes)


INTERRUPTED = """
import gc, signal, sys
from yolact.runtime.detector import Detector

first, second = (Detector.open(sys.argv[1], device="openvino", threads=1) for _ in range(2))
for detector in (first, second):
    detector.close()
del first, second, detector
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_signals_after_engines_that_end_in_the_order_in_which_they_began(tiny_engine: Path) -> None:
    """OpenVINO leaves a process without a stack for its signals then, unless both share what it calls a core."""
    found = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tiny_engine)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "interrupted\n"), found.stderr


def test_devices_by_name() -> None:
    for text, name in (
        ("openvino", "CPU"),
        ("openvino:CPU", "CPU"),
        ("openvino:GPU.1", "GPU.1"),
        ("openvino:NPU", "NPU"),
    ):
        choice = DeviceChoice.parse(text)
        assert (choice.kind, choice.name) == ("openvino", name) and DeviceChoice.parse(str(choice)) == choice
