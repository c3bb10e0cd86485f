"""The detectors that the check compares on a GPU, on this CPU with a tiny network.

It is the same code but for the recording in CUDA graphs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import missing
import numpy as np
import pytest
import torch

from benchmarks.gpu.check.machine import time_beside_compiled, time_kernels
from benchmarks.gpu.check.plan import COMPILING_DETECTORS, DETECTORS
from benchmarks.gpu.check.skipping import Skip
from benchmarks.gpu.detectors import measuring, step
from benchmarks.gpu.detectors.agreement import Found, differences
from benchmarks.gpu.detectors.engines import ImageContender, open_plan
from benchmarks.gpu.detectors.measuring import (
    CONTENDERS,
    Setting,
    check,
    measure_batches,
    open_onnx,
    reference,
)
from benchmarks.gpu.detectors.pytorch import Contender, mask_regions
from benchmarks.gpu.detectors.step import NEEDS, run_contender
from benchmarks.networks import seeded_model
from yolact.runtime import engine_files
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.errors import YolactError
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.geometry import ImageTransform
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.postprocess.mask_assembly import assemble_masks

IMAGE_SIZE = (90, 130)
TINY = ModelConfig("tiny", "mobilenet_v2", 160, ("person", "dog", "kite"), fpn_channels=64)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    images = [make_check_image(*IMAGE_SIZE, seed) for seed in range(3)]
    folder = tmp_path_factory.mktemp("end-to-end")
    return make_setting(images, folder, background=2.0)


def make_setting(images: list[np.ndarray], folder: Path, background: float) -> Setting:
    """`background`: its bias; the higher, the fewer detections."""
    few = PostprocessConfig(max_detections=60)
    return Setting(seeded_model(TINY, background), images, folder, "fp32", "cpu", Path("none"), 0.0, few)


def onnx_on_cpu(setting: Setting, batch: int, row: dict[str, Any]) -> Contender:
    return open_onnx("cpu", setting.export_file)


OPENINGS = {"onnx": onnx_on_cpu, "eager": CONTENDERS["eager"][1], "recorded": CONTENDERS["recorded"][1]}


@pytest.fixture
def opened(setting: Setting, request: pytest.FixtureRequest) -> Callable[..., Contender]:
    def open_(name: str, batch: int) -> Contender:
        here = setting
        if name == "recorded":
            here = replace(setting, kernels=request.getfixturevalue("host_kernels"))
        return OPENINGS[name](here, batch, {})

    return open_


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", OPENINGS)
def test_finds_what_numpy_finds(opened: Callable[..., Contender], setting: Setting, name: str, batch: int) -> None:
    one = opened(name, batch)
    for offset in (0, 1):
        totals, wrong = check(one, setting, batch, reference(one, setting), offset)
        assert not wrong
        assert totals.matched > 20 and totals.median_mask_iou > 0.99 and not totals.missed
    one.close()


class EngineOfImages:
    """An engine that takes images, as plans do on a GPU: a whole detector of the runtime on the CPU."""

    takes_images = True

    def __init__(self, path: Path) -> None:
        self.find = Detector(OnnxEngine(path))


def test_an_engine_that_takes_images(setting: Setting) -> None:
    one = ImageContender(cast(Any, EngineOfImages(setting.export_file())))
    totals, wrong = check(one, setting, 3, reference(one, setting), 1)
    assert not wrong and totals.matched > 20 and not totals.missed
    EngineOfImages.takes_images = False
    with pytest.raises(YolactError, match="expected kernels for this GPU"):
        ImageContender(cast(Any, EngineOfImages(setting.export_file())))


def test_a_plan_is_built_once(setting: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second contender on it takes the first one's."""
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    here, opened, row = replace(setting, folder=tmp_path), list[Path](), dict[str, Any]()
    shutil.copy(setting.export_file(), tmp_path)
    monkeypatch.setattr(engine_files, "open_engine", opened.append)
    for _ in range(2):
        open_plan("tensorrt_rtx", here.export_file, 2, row)
        if "build_seconds" in row:
            assert opened[0].is_file() and len(opened) == 1
            row.clear()
    assert not row and opened[0] == opened[1]


@pytest.mark.parametrize("name", OPENINGS)
def test_images_without_detections(tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    setting = make_setting([make_check_image(*IMAGE_SIZE)], tmp_path, background=60.0)
    if name == "recorded":
        setting.kernels = request.getfixturevalue("host_kernels")
    one = OPENINGS[name](setting, 2, {})
    one.images = setting.batch(2)
    one.run()
    assert [len(found.ranking_scores) for found in one.found()] == [0, 0]
    assert check(one, setting, 2, reference(one, setting), 0)[1] == "none of the 0 expected detections was found"


def test_a_stage_that_does_nothing_shows(opened: Callable[..., Contender], setting: Setting) -> None:
    """As a recording would that holds nothing: what the run before left there is not taken for a result."""
    one = opened("recorded", 1)
    expected = reference(one, setting)
    assert not check(one, setting, 1, expected, 0)[1]
    for name in one.stages:
        kept, one.stages[name] = one.stages[name], lambda: None
        assert check(one, setting, 1, expected, 0)[1], name
        one.stages[name] = kept


def test_the_check_runs_every_contender() -> None:
    assert {**DETECTORS, **COMPILING_DETECTORS}.keys() == CONTENDERS.keys() == NEEDS.keys()


@pytest.fixture(scope="module")
def same(setting: Setting) -> tuple[list[Found], list[Detections]]:
    """What one contender found in the three images, and what it should."""
    one = onnx_on_cpu(setting, 3, {})
    one.images = setting.batch(3)
    one.run()
    found, expected = one.found(), reference(one, setting)
    assert not differences(found, expected)[1]
    return found, expected


def shifted(found: Found) -> Found:
    """Every mask half its region to the right."""
    return replace(found, masks=[(region, np.roll(mask, mask.shape[1] // 2, 1)) for region, mask in found.masks])


SPOILT: dict[str, Callable[[Found], Found]] = {
    "classes": lambda found: replace(found, class_ids=(found.class_ids + 1) % 3),
    "boxes": lambda found: replace(found, boxes=found.boxes * np.float32(0.9)),
    "scores": lambda found: replace(found, ranking_scores=found.ranking_scores * np.float32(0.8)),
    "masks": shifted,
    "empty masks": lambda found: replace(found, masks=[(region, mask & False) for region, mask in found.masks]),
    "half": lambda found: Found(*(getattr(found, name)[::2] for name in found.__dataclass_fields__)),
    "nothing": lambda found: Found(*(getattr(found, name)[:0] for name in found.__dataclass_fields__)),
    "twice": lambda found: Found(
        *(np.repeat(array, 2, 0) for array in (found.boxes, found.ranking_scores, found.class_ids)),
        [mask for mask in found.masks for _ in range(2)],
    ),
    "no numbers": lambda found: replace(found, boxes=found.boxes * np.float32("nan")),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_notices_what_is_not_the_same(same: tuple[list[Found], list[Detections]], kind: str) -> None:
    found, expected = same
    spoilt = [*found[:2], SPOILT[kind](found[2])] if kind == "nothing" else [SPOILT[kind](one) for one in found]
    assert differences(spoilt, expected)[1]


def test_notices_images_in_each_others_place(same: tuple[list[Found], list[Detections]]) -> None:
    found, expected = same
    assert differences([found[1], found[0], found[2]], expected)[1]


def test_rows_of_a_contender(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "LEAST_RUNS", 1)
    path = tmp_path / "result.json"
    measure_batches(path, "eager", setting, [2, 1])
    found = json.loads(path.read_text())
    assert found["network"] == "tiny" and "eager" in found["contender"]
    assert [row["batch"] for row in found["rows"]] == [2, 1]
    for row in found["rows"]:
        assert row["fps"] == pytest.approx(row["batch"] / row["milliseconds"] * 1e3)
        assert list(row["stages"]) == ["prepare", "network", "postprocess", "masks", "fetch"]
        assert row["matched"] > 20 and row["missed"] == 0


def test_a_batch_that_no_time_is_left_for(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows before it are there; the step has failed, so that it is run again by whoever goes on."""
    left = iter([0.001, 0.0])
    monkeypatch.setattr(measuring, "seconds_left", lambda: next(left))
    monkeypatch.setattr(measuring, "make_row", lambda make, setting, size: (time.sleep(0.01), {"batch": size})[1])
    path = tmp_path / "result.json"
    with pytest.raises(YolactError, match=r"batch 2: no time was left for it$"):
        measure_batches(path, "eager", setting, [1, 2])
    assert json.loads(path.read_text())["rows"] == [{"batch": 1}, {"batch": 2, "failed": "no time was left for it"}]


def test_no_speed_is_told_of_what_disagrees(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(setting, postprocess=replace(setting.postprocess, nms_threshold=0.1))
    monkeypatch.setitem(CONTENDERS, "wrong", ("a wrong one", lambda _, batch, row: onnx_on_cpu(other, batch, row)))
    path = tmp_path / "result.json"
    other.folder = tmp_path
    with pytest.raises(YolactError, match=r"a wrong one: batch 1: detections do not agree with NumPy's .*of missed"):
        measure_batches(path, "wrong", setting, [1])
    (row,) = json.loads(path.read_text())["rows"]
    assert row["missed"] > 0 and not row.keys() & {"fps", "milliseconds", "stages"}


MISSING = {
    "recorded": "the CUDA kernels are not built",
    "ort-cuda": "has no CUDAExecutionProvider",
    "ort-tensorrt": "has no TensorrtExecutionProvider",
    "tensorrt": "the CUDA kernels are not built",
    "tensorrt-cpu": "TensorRT",
    "tensorrt-rtx": "the CUDA kernels are not built",
    "tensorrt-rtx-cpu": "driver|not installed",
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import onnxruntime

    from yolact.runtime.cuda.gpu import find_gpu

    if find_gpu() or "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip(missing.WITHOUT_A_GPU)
    monkeypatch.setattr(step, "LIBRARY", tmp_path / "none.so")
    with pytest.raises(Skip, match=MISSING[name]):
        run_contender(tmp_path / "result.json", "yolact_resnet50", name, str(tmp_path))


def test_a_machine_without_a_gpu_skips(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip(missing.WITHOUT_A_GPU)
    result = tmp_path / "result.json"
    for run in (
        partial(run_contender, result, "yolact_base", "eager", str(tmp_path)),
        partial(time_kernels, result),
        partial(time_beside_compiled, result),
    ):
        with pytest.raises(Skip, match=r"^PyTorch \S+ can use no GPU$"):
            run()
    assert not result.exists()


@pytest.mark.parametrize("image_size", [(90, 130), (480, 640), (35, 20)])
def test_regions_hold_all_that_can_be_set(image_size: tuple[int, int]) -> None:
    """Boxes on cells' borders and beyond the image too."""
    rng, grid = np.random.default_rng(3), (24, 31)
    corners = rng.integers(-3, 28, (2, 40, 2, 2)) / 24 + rng.choice([0, 0.013], (2, 40, 2, 2))
    boxes = np.sort(corners, axis=2).reshape(2, 40, 4).astype(np.float32)
    regions = mask_regions(boxes, np.array([[40], [7]], np.int32), grid, image_size)
    assert regions.flags.c_contiguous and not regions[1, 7:].any()
    for image, count in ((0, 40), (1, 7)):
        masks = assemble_masks(
            np.full((1, *grid), 60, np.float32), np.ones((count, 1), np.float32), boxes[image, :count]
        )
        for mask, (top, left, bottom, right) in zip(masks, regions[image], strict=False):
            region, bits = ImageTransform(image_size).upsample_mask(mask)
            full = np.zeros(image_size, np.bool_)
            full[region.slices] = bits
            assert full[top:bottom, left:right].sum() == full.sum()
            assert (bottom - top) * (right - left) <= image_size[0] * image_size[1]
