"""The runtime's front door with real engines."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from operator import methodcaller
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import PIL.Image
import pytest
import torch

from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, ImageError, UsageError
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.exported_model import read_exported_model


def assert_same(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 0
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0, atol=0.05)
    assert found.masks.shape == expected.masks.shape
    assert (found.masks != expected.masks).mean() < 1e-4


def test_a_batch_of_photos_is_the_photos_one_by_one(tiny_engine: Path, photos: list[np.ndarray]) -> None:
    with Detector.open(tiny_engine) as detector:
        together = detector(photos)
        for photo, found in zip(photos, together, strict=True):
            assert_same(found, detector(photo))
            assert found.image_size == photo.shape[:2]
            height, width = photo.shape[:2]
            assert (found.boxes >= 0).all() and (found.boxes <= [width, height, width, height]).all()
        assert not np.array_equal(together[0].boxes, together[1].boxes)
        assert detector([]) == []
        assert detector.class_names == ("person", "dog", "kite")


def test_a_fixed_batch_is_filled_up(
    tiny_config: ModelConfig,
    tiny_engine: Path,
    photos: list[np.ndarray],
    tmp_path: Path,
    export_seeded: Callable[..., Path],
) -> None:
    path = export_seeded(tiny_config, tmp_path / "two.onnx", PostprocessConfig(max_detections=20), batch=2)
    with Detector.open(path) as fixed, Detector.open(tiny_engine) as dynamic:
        for found, expected in zip(fixed(photos), dynamic(photos), strict=True):
            assert_same(found, expected)


def test_a_raw_graph_detects_the_same(tiny_engine: Path, tiny_raw_engine: Path, photos: list[np.ndarray]) -> None:
    with Detector.open(tiny_raw_engine) as raw, Detector.open(tiny_engine) as full:
        for found, expected in zip(raw(photos), full(photos), strict=True):
            assert_same(found, expected)


def test_a_raw_graph_takes_other_settings(tiny_raw_engine: Path, photos: list[np.ndarray]) -> None:
    with Detector.open(tiny_raw_engine) as detector:
        fast = detector(photos[0])
    counts = {}
    for nms in ("cross-class", "traditional"):
        settings = PostprocessConfig(nms=nms, max_detections=200)
        with Detector.open(tiny_raw_engine, postprocess=settings) as detector:
            counts[nms] = len(detector(photos[0]))
    assert len(fast) == 20 < counts["cross-class"] != counts["traditional"]


def test_yolact_plus_plus_has_mask_scores(
    photos: list[np.ndarray], tmp_path: Path, export_seeded: Callable[..., Path]
) -> None:
    config = ModelConfig(
        "tiny plus",
        "resnet50",
        256,
        ("person", "dog", "kite"),
        scales=((24, 30), (48, 60), (96, 120), (192, 240), (384, 480)),
        square_anchors=False,
        deformable_interval=1,
        mask_rescoring=True,
    )
    path = export_seeded(config, tmp_path / "plus.onnx", PostprocessConfig(max_detections=20))
    with Detector.open(path) as detector:
        together = detector(photos)
        for photo, found in zip(photos, together, strict=True):
            alone = detector(photo)
            assert_same(found, alone)
            assert found.mask_scores is not None and alone.mask_scores is not None
            np.testing.assert_allclose(found.mask_scores, alone.mask_scores, rtol=0, atol=1e-4)
            assert found.mask_scores.any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (33, 17, 3), (2000, 30, 3)])
def test_any_size_of_image(tiny_engine: Path, shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Detector.open(tiny_engine) as detector:
        found = detector(image)
    assert found.masks.shape == (len(found), *shape[:2])
    assert len(found.rle()) == len(found.polygons()) == len(found)


def test_preprocessing_stays_within_a_level_of_interpolation_in_float(photos: list[np.ndarray]) -> None:
    import torch
    import torch.nn.functional as F

    for photo in photos:
        (ours,) = Preprocessor(550)([photo])
        pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
        exact = F.interpolate(pixels, (550, 550), mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()
        assert ours.dtype == np.uint8 and np.abs(ours - exact).max() <= 1


REJECTED_IMAGES = {
    "bytes": (b"photo.jpg", "got bytes; pass one array, or a list of arrays"),
    "a generator": ((image for image in ()), "got generator; pass one array, or a list of arrays"),
    "Pillow": (PIL.Image.new("RGB", (4, 4)), 'got Image; convert it with np.asarray(image.convert("RGB"))[..., ::-1]'),
    "PyTorch": (torch.zeros((4, 4, 3), dtype=torch.uint8), "got Tensor; convert it with np.asarray"),
    "nothing": (None, "got NoneType; cv2.imread gives None"),
    "grayscale": (np.zeros((4, 4), np.uint8), "got (4, 4) uint8; make three channels of grey with cv2.cvtColor"),
    "one channel": (np.zeros((4, 4, 1), np.uint8), "got (4, 4, 1) uint8; make three channels"),
    "alpha": (np.zeros((4, 4, 4), np.uint8), "got (4, 4, 4) uint8; drop alpha with cv2.cvtColor"),
    "float": (np.zeros((4, 4, 3), np.float32), "got (4, 4, 3) float32; make bytes of values from 0 to 1 with (255 * "),
    "grey of float": (
        np.zeros((4, 4), np.float64),
        "got (4, 4) float64; make bytes of values from 0 to 1 with (255 * image).round().astype(np.uint8), then make "
        "three channels of grey with cv2.cvtColor",
    ),
    "16 bits": (np.zeros((4, 4, 3), np.uint16), "make bytes of 16 bits with (image >> 8).astype(np.uint8), of 12 bits"),
    "alpha of 16 bits": (np.zeros((4, 4, 4), np.uint16), "with >> 4, then drop alpha with cv2.cvtColor"),
    "bits": (np.zeros((4, 4, 3), np.bool_), "(4, 4, 3) bool; make bytes with 255 * image.astype(np.uint8)"),
    "integers": (np.zeros((3, 4, 5), np.int64), "with image.astype(np.uint8), then put the channels last with image."),
    "two channels": (np.zeros((4, 4, 2), np.uint8), "uint8; give it the three channels blue, green and red"),
    "channels first": (
        np.zeros((3, 4, 5), np.uint8),
        "got (3, 4, 5) uint8; put the channels last with image.",
    ),
    "empty": (np.zeros((0, 4, 3), np.uint8), "got (0, 4, 3) uint8; it has no pixels"),
    "batch": (np.zeros((2, 4, 4, 3), np.uint8), "got (2, 4, 4, 3) uint8; pass several images as a list, which list("),
    "a missing file": ("no.jpg", "no.jpg: there is no such file"),
    "NUL": ("a\0.jpg", "no name has NUL in it"),
    "a folder": (Path(), ".: expected an image file, got a folder; name the images in it"),
    "a URL": ("https://example.org/a.jpg", "expected an image file, got a URL; download the image first"),
    "a video": ("film.MP4", "film.MP4: expected an image file, got a video; read its frames with cv2.VideoCapture"),
    "no image": ("notes.txt", "notes.txt: this is no image in a format OpenCV reads"),
}


@pytest.mark.parametrize("name", REJECTED_IMAGES)
def test_rejected_images(engine: Path, here: Path, name: str) -> None:
    for file in ("film.MP4", "notes.txt"):
        (here / file).write_text("no picture")
    image, message = REJECTED_IMAGES[name]
    with Detector.open(engine) as detector:
        for argument in (image, [image], [np.zeros((4, 4, 3), np.uint8), image]):
            with pytest.raises(ImageError) as caught:
                detector(argument)
            assert message in str(caught.value)


def test_what_the_advice_makes_is_taken(tiny_engine: Path, photos: list[np.ndarray]) -> None:
    photo = photos[0]
    pillow = PIL.Image.fromarray(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB))
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    with Detector.open(tiny_engine) as detector:
        expected = detector(photo)
        for same in (
            np.asarray(pillow.convert("RGB"))[..., ::-1],
            cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_BGR2BGRA), cv2.COLOR_BGRA2BGR),
            (255 * (photo / 255)).round().astype(np.uint8),
            photo.transpose(2, 0, 1).transpose(1, 2, 0),
            np.asarray(torch.from_numpy(photo)),
        ):
            assert_same(detector(same), expected)
        assert len(detector(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))) > 0
        assert_same(detector(list(np.stack([photo, photo])))[1], expected)


def test_files_are_read_upright(tiny_engine: Path, photos: list[np.ndarray], tmp_path: Path) -> None:
    """Every kind of name, alone and in lists beside arrays; orientation 6 is a camera that was turned to the left."""
    photo, exif = photos[0], PIL.Image.Exif()
    exif[0x0112] = 6
    pillow = PIL.Image.fromarray(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB))
    pillow.save(tmp_path / "flat.png")
    pillow.save(tmp_path / "turned.png", exif=exif)
    turned = np.rot90(photo, -1)
    assert turned.shape != photo.shape
    with Detector.open(tiny_engine) as detector:
        alone = [detector(str(tmp_path / "flat.png")), detector(tmp_path / "turned.png")]
        mixed = detector([tmp_path / "flat.png", turned, str(tmp_path / "turned.png")])
        for found, image in zip([*alone, *mixed], [photo, turned, photo, turned, turned], strict=True):
            assert found.image_size == image.shape[:2]
            assert_same(found, detector(image))


def edit_metadata(proto: onnx.ModelProto, key: str, value: str) -> None:
    next(prop for prop in proto.metadata_props if prop.key == key).value = value


def rename_output(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(onnx.helper.make_node("Identity", ["scores"], ["marks"]))
    proto.graph.output[2].name = "marks"


def add_input(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(onnx.helper.make_tensor_value_info("extra", onnx.TensorProto.FLOAT, [1]))


def say_config(**values: Any) -> Callable[[onnx.ModelProto], None]:
    """Let the metadata say other values of the network than it has."""
    return lambda proto: _say(proto, "yolact.config", values)


def say_postprocess(**values: Any) -> Callable[[onnx.ModelProto], None]:
    return lambda proto: _say(proto, "yolact.postprocess", values)


def _say(proto: onnx.ModelProto, key: str, values: dict[str, Any]) -> None:
    before = next(prop.value for prop in proto.metadata_props if prop.key == key)
    edit_metadata(proto, key, json.dumps(json.loads(before) | values))


CONTRADICTIONS = {
    "more classes": (
        say_config(class_names=list("abcde"), category_ids=[1, 2, 3, 4, 5]),
        "say 5 classes, the network has 3;",
    ),
    "fewer classes": (say_config(class_names=["a"], category_ids=[1]), "say 1 class, the network has 3;"),
    "size": (say_config(image_size=200), "say 200 pixels, the network has 160;"),
    "anchors": (say_config(aspect_ratios=[1.0]), "say 538 priors, the network has 1614;"),
    "coefficients": (say_config(num_coefficients=8), "say 8 coefficients, the network has 32;"),
}


ON_A_CPU = pytest.mark.parametrize("device", ["cpu", "openvino"])


@ON_A_CPU
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_metadata_of_another_network(tiny_raw_engine: Path, tmp_path: Path, name: str, device: str) -> None:
    change, message = CONTRADICTIONS[name]
    proto = onnx.load(tiny_raw_engine)
    change(proto)
    onnx.save(proto, tmp_path / "other.onnx")
    with pytest.raises(EngineError, match=f"the metadata {message} (expected tensor|export it again)"):
        Detector.open(tmp_path / "other.onnx", device=device)
    with pytest.raises(EngineError, match=f"other.onnx: the metadata {message} export it again"):
        read_exported_model(tmp_path / "other.onnx")


DAMAGE = {
    "no metadata": (lambda proto: proto.ClearField("metadata_props"), "carries no YOLACT metadata"),
    "newer": (lambda proto: edit_metadata(proto, "yolact.schema_version", "99"), "metadata schema 99"),
    "broken JSON": (lambda proto: edit_metadata(proto, "yolact.config", "{"), "damaged YOLACT metadata"),
    "no name": (lambda proto: edit_metadata(proto, "yolact.config", "{}"), "damaged YOLACT metadata"),
    "other kind of NMS": (lambda proto: edit_metadata(proto, "yolact.postprocess", '{"nms": "soft"}'), "nms must be"),
    "other graph": (lambda proto: edit_metadata(proto, "yolact.graph", "half"), "damaged YOLACT metadata"),
    "renamed output": (rename_output, "expected tensor 'scores'"),
    "another input": (add_input, "inputs that no YOLACT has: extra;"),
    "fewer detections": (say_postprocess(max_detections=7), "say 7 detections, the network has 20;"),
    "stripped": (lambda proto: proto.ClearField("functions"), "exported with --functions strip"),
}


@ON_A_CPU
@pytest.mark.parametrize("name", DAMAGE)
def test_files_that_do_not_keep_the_contract(tiny_engine: Path, tmp_path: Path, name: str, device: str) -> None:
    damage, message = DAMAGE[name]
    proto = onnx.load(tiny_engine)
    damage(proto)
    onnx.save(proto, tmp_path / "other.onnx")
    with pytest.raises(EngineError, match=message):
        Detector.open(tmp_path / "other.onnx", device=device)


@ON_A_CPU
@pytest.mark.parametrize("content", [None, b"", b"no protobuf at all", "half"])
def test_files_that_are_no_model(tiny_engine: Path, tmp_path: Path, content: bytes | str | None, device: str) -> None:
    path = tmp_path / "broken.onnx"
    if content is not None:
        data = tiny_engine.read_bytes()
        path.write_bytes(data[: len(data) // 2] if isinstance(content, str) else content)
    with pytest.raises(EngineError) as caught:
        Detector.open(path, device=device)
    assert str(path) in str(caught.value) and "yolact-export" in str(caught.value)
    assert "\n" not in str(caught.value)


@ON_A_CPU
def test_full_graphs_take_no_settings(tiny_engine: Path, device: str) -> None:
    with pytest.raises(UsageError, match="--graph raw"):
        Detector.open(tiny_engine, postprocess=PostprocessConfig(), device=device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"threads": wrong}, "threads, unless they are None.*must be") for wrong in (0, -1, "x", 1.5, True, 10**30)),
        ({"device": 3}, "expected a device like cpu"),
        ({"device": "cuda"}, "has no CUDAExecutionProvider for cuda:0, only"),
        ({"device": "tensorrt:1"}, "has no TensorrtExecutionProvider for tensorrt:1"),
        ({"device": "gpu"}, "expected a device like cpu"),
        ({"device": "openvino", "threads": 0}, "threads, unless they are None.*must be"),
        ({"device": "openvino", "precision": "bf16"}, "expected a precision of file or auto, got 'bf16'"),
        ({"precision": "auto"}, "--precision auto is for --device openvino, got no device; other devices compute in"),
        ({"device": "cpu", "precision": "auto"}, "--precision auto is for --device openvino, got cpu;"),
    ],
)
def test_sessions_that_cannot_be_had(tiny_engine: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Detector.open(tiny_engine, **options)


@pytest.mark.parametrize("wrong", [None, "tiny.onnx", Path("tiny.onnx"), 3])
def test_a_detector_of_what_is_no_engine(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"expected an opened engine, got .*; open a file with Detector.open"):
        Detector(wrong)


def test_a_closed_detector_says_so(tiny_engine: Path, photos: list[np.ndarray]) -> None:
    detector = Detector.open(tiny_engine)
    detector.close()
    detector.close()
    with pytest.raises(EngineError, match="was closed"):
        detector(photos)


def test_metadata_survives_the_file(tiny_engine: Path, tiny_config: ModelConfig) -> None:
    with Detector.open(tiny_engine) as detector:
        metadata = detector.metadata
    assert metadata.config == tiny_config
    assert metadata.postprocess == PostprocessConfig(max_detections=20)
    assert ModelMetadata.from_props(metadata.to_props(), "here") == metadata


def test_a_detector_says_what_it_is(tiny_engine: Path, engine: Path) -> None:
    with Detector.open(tiny_engine) as detector:
        assert repr(detector) == f"<Detector: {tiny_engine} on cpu, 3 classes (person, dog, kite)>"
    assert repr(detector) == f"<Detector: {tiny_engine}, closed>"
    with pytest.raises(EngineError, match="was closed"):
        detector.engine  # noqa: B018
    with Detector.open(engine) as detector:
        assert repr(detector).endswith("4 classes (person, dog, traffic light and 1 more)>")
        assert repr(Detector(detector.engine)).startswith("<Detector: an engine on cpu, 4 classes (")


def test_another_process_opens_the_file_again(
    tiny_raw_engine: Path, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tiny_raw_engine.parent)
    settings = PostprocessConfig(nms="traditional", max_detections=7)
    with Detector.open(tiny_raw_engine.name, postprocess=settings, threads=1, device="cpu") as detector:
        expected = detector(photos[0])
        with pickle.loads(pickle.dumps(detector)) as copy:
            assert copy.metadata == detector.metadata and copy.metadata.postprocess == settings
            assert repr(copy) == repr(detector) and copy.engine is not detector.engine
            assert_same(copy(photos[0]), expected)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(os.chdir, tmp_path).result()  # a relative name would mean nothing there
            assert pool.submit(repr, detector).result() == repr(detector)
            found = pool.submit(methodcaller("__call__", photos[0]), detector).result()
        assert len(found) == 7 and found.class_names == expected.class_names
        assert_same(found, expected)


def test_what_cannot_be_opened_again_says_so(tiny_engine: Path) -> None:
    made = pytest.raises(EngineError, match=r"made from an engine object.* make it with Detector\.open")
    with Detector.open(tiny_engine) as detector, made:
        pickle.dumps(Detector(detector.engine))
    with pytest.raises(EngineError, match="was closed"):
        pickle.dumps(detector)
