"""A plan behind `Detector`, against the host driver and the stand-in for TensorRT: see libcuda.c, host_tensorrt.py."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_cuda.batches import assert_identical, black_and_white
from host_cuda.host_driver import configure, count, counted, current_context, fail_next, one_copy
from host_cuda.host_tensorrt import (
    TENSORRT,
    DataType,
    HostEngine,
    TensorIOMode,
)
from scripted_engine import IMAGE_SIZE

from yolact.runtime.cuda.device import Device
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.postprocess.postprocess import NetworkDetections
from yolact.runtime.tensorrt.engine import TensorRTEngine

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]


@pytest.fixture(scope="session")
def batch(photos: list[np.ndarray]) -> Image:
    """Three different photos as input of the tiny network."""
    return Preprocessor(160)(photos)


@pytest.mark.parametrize("graph", ["full", "raw"])
def test_detections_are_those_of_onnx_runtime(
    open_plan: Open, tiny_engine: Path, tiny_raw_engine: Path, photos: list[np.ndarray], batch: Image, graph: str
) -> None:
    path = tiny_engine if graph == "full" else tiny_raw_engine
    engine, _ = open_plan(path)
    onnx = OnnxEngine(path)
    for images in (batch, batch[:1], batch[1:], batch[2:], batch, batch[:1], batch[::-1]):
        expected = onnx.detect(images)
        assert all(len(found.scores) for found in expected)
        assert_identical(engine.detect(images), expected)
    found, expected = Detector(engine)(photos), Detector(onnx)(photos)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.masks, other.masks)


@pytest.mark.parametrize("graph", ["full", "raw"])
def test_results_are_the_callers_to_keep(
    open_plan: Open, tiny_engine: Path, tiny_raw_engine: Path, batch: Image, graph: str
) -> None:
    engine, _ = open_plan(tiny_engine if graph == "full" else tiny_raw_engine)
    context = engine.create_context()
    kept = context.run(batch[:1])[0]
    copies = {name: array.copy() for name, array in kept.items()}
    context.run(np.zeros_like(batch[:1]))
    context.close()
    for name, array in kept.items():
        np.testing.assert_array_equal(array, copies[name])


def counts_and_boxes(images: int) -> int:
    """Bytes of counts, boxes, scores and classes, which come in one copy."""
    return one_copy(images * 4, images * 4 * 16, images * 4 * 4, images * 4 * 4)


@pytest.mark.parametrize("pattern", ["b", "w", "wb", "bw", "bbb", "www", "wbwb"])
def test_only_masks_of_detections_are_copied(open_plan: Open, engine: Path, pattern: str) -> None:
    plan, _ = open_plan(engine)
    images, white = black_and_white(pattern), pattern.count("w")
    for _ in range(4):
        with counted("downloaded") as downloaded, counted("uploaded") as uploaded:
            found = plan.detect(images)
        assert_identical(found, OnnxEngine(engine).detect(images))
        assert [len(one.scores) for one in found] == [4 * (letter == "w") for letter in pattern]
        assert uploaded == [images.nbytes]
        assert downloaded == [counts_and_boxes(len(images)) + white * 4 * 16 * 16 * 4]


def test_only_masks_up_to_the_count_are_copied(open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, host = open_plan(engine)
    counts = [1, 4, 0, 3]

    def run(images: Image) -> list[np.ndarray]:
        outputs = OnnxEngine(engine).run(images)
        outputs[0][:, 0] = counts[: len(images)]
        return outputs

    monkeypatch.setattr(host.onnx, "run", run)
    whole = OnnxEngine(engine).detect(black_and_white("w"))[0]
    for images in (4, 2, 4, 4):
        with counted("downloaded") as downloaded:
            found = plan.detect(black_and_white("w" * images))
        assert downloaded == [counts_and_boxes(images) + sum(counts[:images]) * 16 * 16 * 4]
        for one, length in zip(found, counts, strict=False):
            for name in ("boxes", "scores", "class_ids", "masks"):
                np.testing.assert_array_equal(getattr(one, name), getattr(whole, name)[:length])


def test_nothing_is_made_in_steady_state(open_plan: Open, engine: Path) -> None:
    plan, _ = open_plan(engine)
    for pattern in ("wb", "w") * 2:
        plan.detect(black_and_white(pattern))
    with counted("created") as created, counted("allocations") as allocations, counted("synchronisations") as waits:
        for pattern in ("wb", "w") * 5:
            plan.detect(black_and_white(pattern))
    assert created == allocations == [0]
    assert waits == [20]  # of each run once for the counts, once for the masks


def test_memory_is_for_the_largest_batch_from_the_start(open_plan: Open, engine: Path) -> None:
    plan, _ = open_plan(engine, 1, 4)
    plan.detect(black_and_white("w"))
    with counted("allocations") as allocations:
        plan.detect(black_and_white("wbwb"))
    assert allocations == [0]


@pytest.mark.parametrize(("least", "most"), [(1, 1), (2, 2), (2, 4), (1, 8)])
def test_any_number_of_photos_goes_through_the_detector(
    open_plan: Open, tiny_engine: Path, photos: list[np.ndarray], least: int, most: int
) -> None:
    plan, _ = open_plan(tiny_engine, least, most)
    assert (plan.min_batch, plan.max_batch) == (least, most)
    found = Detector(plan)(photos)
    for one, other in zip(found, Detector(OnnxEngine(tiny_engine))(photos), strict=True):
        np.testing.assert_array_equal(one.class_ids, other.class_ids)
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("limits", "images", "sentence"),
    [
        ((1, 4), 5, "this plan takes 1 to 4 images a call, got 5; pass as many, or build it again with "
                    "yolact-build --max-batch 5"),
        ((2, 4), 1, "this plan takes 2 to 4 images a call, got 1; pass as many, or build it again with "
                    "yolact-build --min-batch 1"),
        ((2, 2), 3, "this plan takes 2 images a call, got 3; pass as many, or build it again with "
                    "yolact-build --max-batch 3"),
        ((1, 4), 0, "this plan takes 1 to 4 images a call, got 0; pass as many, or build it again with "
                    "yolact-build --min-batch 1"),
    ],
)  # fmt: skip
def test_batches_outside_the_profile(
    open_plan: Open, engine: Path, limits: tuple[int, int], images: int, sentence: str
) -> None:
    plan, _ = open_plan(engine, *limits)
    with pytest.raises(UsageError) as caught:
        plan.detect(np.zeros((images, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8))
    assert str(caught.value) == sentence


@pytest.mark.parametrize("images", [np.zeros((1, 64, 63, 3), np.uint8), np.zeros((1, 64, 64, 3), np.float32)])
def test_arrays_that_are_no_batch(open_plan: Open, engine: Path, images: np.ndarray) -> None:
    plan, _ = open_plan(engine)
    with pytest.raises(UsageError, match=r"expected images to be uint8 of shape \(N, 64, 64, 3\), got"):
        plan.detect(images)


@pytest.mark.parametrize("interleave", [0, 1])
def test_threads_at_once(open_plan: Open, engine: Path, interleave: int) -> None:
    configure("interleave", interleave)
    plan, host = open_plan(engine)
    work = [black_and_white(pattern) for pattern in ("wbw", "w", "bb")]
    expected = [OnnxEngine(engine).detect(images) for images in work]
    assert_identical(plan.detect(work[0]), expected[0])  # leaves one context for three threads
    if not interleave:  # three runs are held at the same place
        host.before_run = threading.Barrier(3, timeout=20).wait

    def detect(index: int) -> list[list[NetworkDetections]]:
        return [plan.detect(work[index]) for _ in range(8)]

    with ThreadPoolExecutor(3) as pool:
        for results, right in zip(pool.map(detect, range(3)), expected, strict=True):
            for found in results:
                assert_identical(found, right)
    assert count("streams") == 3 if not interleave else 1 <= count("streams") <= 3


def test_a_context_comes_back_after_an_error(open_plan: Open, engine: Path) -> None:
    plan, _ = open_plan(engine)
    images = black_and_white("bw")
    expected = plan.detect(images)
    with counted("allocations") as allocations:
        for _ in range(3):
            fail_next("cuStreamSynchronize", 700)
            with pytest.raises(
                EngineError, match=r"cuStreamSynchronize failed \(CUDA_ERROR_ILLEGAL_ADDRESS, an illegal"
            ):
                plan.detect(images)
            assert_identical(plan.detect(images), expected)
    assert allocations == [0]


FIRST_RUN = ["cuMemAlloc", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuMemcpyHtoDAsync"]
EVERY_RUN = ["cuMemcpyDtoHAsync", "cuStreamSynchronize", "cuCtxPushCurrent"]


@pytest.mark.parametrize("function", [*FIRST_RUN, *EVERY_RUN, "cuGraphLaunch"])
def test_every_code_of_the_driver_is_looked_at(open_plan: Open, engine: Path, function: str) -> None:
    plan, _ = open_plan(engine)
    images = black_and_white("bw")
    expected = OnnxEngine(engine).detect(images)
    if function not in FIRST_RUN:
        plan.detect(images), plan.detect(images)
    fail_next(function, 400)
    with pytest.raises(
        EngineError, match=rf"^{function} failed \(CUDA_ERROR_INVALID_HANDLE, invalid resource handle\)$"
    ):
        plan.detect(images)
    for _ in range(3):
        assert_identical(plan.detect(images), expected)


def test_too_little_memory(open_plan: Open, engine: Path) -> None:
    plan, _ = open_plan(engine, 1, 4)
    for limit, what in ((10_000, "page-locked memory of the host"), (53_000, "memory of GPU 0")):
        configure("memory", limit)
        with pytest.raises(EngineError, match=rf"^\d+ bytes of {what} cannot be allocated; free some, or use smaller"):
            plan.detect(black_and_white("w"))
        gc.collect()
    configure("memory", 1 << 30)
    assert len(plan.detect(black_and_white("w"))[0].scores) == 4


def test_tensorrt_refusing(open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from host_cuda.host_tensorrt import HostContext

    plan, _ = open_plan(engine)
    images = black_and_white("w")
    for method, sentence in {
        "execute_async_v3": "could not run the plan",
        "set_input_shape": r"refused images of shape \(1, 64, 64, 3\)",
        "set_tensor_address": "refused the address of 'images'",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(HostContext, method, lambda *_: False)
            with pytest.raises(EngineError, match=sentence):
                plan.detect(images)
    with monkeypatch.context() as patch:
        patch.setattr(HostEngine, "create_execution_context", lambda *_: None)
        with pytest.raises(EngineError, match="could not make an execution context: so says the logger"):
            plan.detect(black_and_white("ww"))
    assert len(plan.detect(images)[0].scores) == 4


def test_counts_that_cannot_be(open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, host = open_plan(engine)

    def run(images: Image) -> list[np.ndarray]:
        outputs = OnnxEngine(engine).run(images)
        outputs[0][-1] = 5
        return outputs

    monkeypatch.setattr(host.onnx, "run", run)
    with pytest.raises(EngineError, match=r"the plan reports \[4, 5\] detections of at most 4; build it again"):
        plan.detect(black_and_white("ww"))


def test_another_context_stays_current(engine: Path) -> None:
    other = Device.open(1)
    host = HostEngine(engine)
    with other.current():
        before = current_context()
        with Device.open(0).current():
            assert current_context() != before
        plan = TensorRTEngine(host, TENSORRT, host.onnx.metadata, Device.open(0), host.reason)
        images = black_and_white("wb")
        expected = OnnxEngine(engine).detect(images)
        for _ in range(3):
            assert_identical(plan.detect(images), expected)
            assert current_context() == before
        with pytest.raises(UsageError):
            plan.detect(images[:0])
        assert current_context() == before
        plan.close()
        assert current_context() == before
    assert current_context() is None
    assert not host.contexts and host.problems == []
    other.close()


def test_closing(engine: Path) -> None:
    host = HostEngine(engine)
    plan = TensorRTEngine(host, TENSORRT, host.onnx.metadata, Device.open(), host.reason)
    kept = plan.create_context()
    images = black_and_white("w")
    plan.detect(images)
    with Detector(plan):
        pass
    plan.close()
    for use in (lambda: plan.detect(images), plan.create_context):
        with pytest.raises(EngineError, match="this engine was closed"):
            use()
    assert len(kept.run(images)[0]["scores"]) == 4
    kept.close()
    kept.close()
    for use in (lambda: kept.run(images), lambda: kept.enqueue(None)):
        with pytest.raises(EngineError, match="this TensorRT context was closed"):
            use()
    assert not host.contexts and host.problems == []


def test_closing_while_in_use(open_plan: Open, engine: Path) -> None:
    plan, host = open_plan(engine)
    images = black_and_white("wb")
    host.before_run = plan.close
    assert_identical(plan.detect(images), OnnxEngine(engine).detect(images))
    assert count("streams") == 0 and not host.contexts


def test_the_garbage_collector_frees_as_well(engine: Path) -> None:
    host = HostEngine(engine)
    plan = TensorRTEngine(host, TENSORRT, host.onnx.metadata, Device.open(), host.reason)
    for _ in range(2):
        plan.detect(black_and_white("w"))
    context = plan.create_context()
    context.run(black_and_white("w"))
    assert count("contexts") == 1
    del plan
    assert len(host.contexts) == 1
    gone = weakref.ref(context._plan)
    del context
    assert (
        gone() is None and not host.contexts and host.problems == []
    )  # and the fixture sees that nothing else is left


def test_the_plan_is_freed_in_its_own_context(engine: Path, device: Device) -> None:
    freed = []

    class Watched(HostEngine):
        def __del__(self) -> None:
            freed.append(current_context())

    host = Watched(engine)
    plan = TensorRTEngine(host, TENSORRT, host.onnx.metadata, device, str)
    del host
    assert not freed
    plan.close()
    assert freed == [int(device.context)]


def wrong(name: str, mode: Any = None, dtype: Any = None, shape: Any = None) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        old = tensors[name]
        tensors[name] = (mode or old[0], dtype or old[1], shape or old[2])

    return change


CONTRACT = {
    "type": (wrong("boxes", dtype=DataType.HALF), "'boxes' to be an output of type FLOAT and shape (N, 4, 4), "
             "got an output of type HALF and shape (N, 4, 4)"),
    "shape": (wrong("images", shape=(-1, 32, 32, 3)), "the metadata say 64 pixels, the network has 32; "
              "expected the plan's tensor 'images' to be an input of type UINT8 and shape (N, 64, 64, 3), "
              "got an input of type UINT8 and shape (N, 32, 32, 3)"),
    "mode": (wrong("scores", mode=TensorIOMode.INPUT), "'scores' to be an output"),
    "batch": (wrong("masks", shape=(1, 4, 16, 16)), "'masks' to be an output of type FLOAT and shape (N, 4, 16, 16), "
              "got an output of type FLOAT and shape (1, 4, 16, 16)"),
    "rank": (wrong("num_detections", shape=(-1,)), "'num_detections' to be an output of type INT32 and shape (N, 1), "),
    "no output": (lambda tensors: tensors.pop("classes"), "'classes' to be an output of type INT32 and shape (N, 4), "
                  "got no such tensor"),
    "no input": (lambda tensors: tensors.pop("images"), "'images' to be an input"),
    "another": (lambda tensors: tensors.update(more=tensors["boxes"]), "tensors that no YOLACT has: more"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRACT)
def test_plans_that_do_not_keep_the_contract(device: Device, engine: Path, name: str) -> None:
    change, sentence = CONTRACT[name]
    host = HostEngine(engine)
    change(host.tensors)
    with pytest.raises(EngineError) as caught:
        TensorRTEngine(host, TENSORRT, host.onnx.metadata, device, host.reason)
    assert sentence in str(caught.value) and str(caught.value).endswith("build it again from a file of yolact-export")
