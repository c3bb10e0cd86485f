"""A plan's stages as `yolact-bench` measures them, on the host driver, where a copy takes a known time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from host_cuda.host_driver import count, counted
from host_cuda.host_tensorrt import TENSORRT, TENSORRT_RTX, HostEngine
from scripted_engine import IMAGE_SIZE

from yolact.runtime.bench import measure, stages
from yolact.runtime.bench.copy_clock import CopyClock
from yolact.runtime.bench.photos import EncodedImage, Photos, find_photos
from yolact.runtime.bench.report import report_lines
from yolact.runtime.cuda.device import Device, Stream, TimingEvent
from yolact.runtime.cuda.kernels import KernelLibrary
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.tensorrt.engine import TensorRTEngine

Open = Callable[..., tuple[TensorRTEngine, HostEngine]]

UPLOAD_MS, DOWNLOAD_MS = 0.001, 0.01
"""What the host driver says that a copy takes, of whatever size."""


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own clock stands still, so that only the driver's is left."""
    monkeypatch.setattr("yolact.runtime.bench.copy_clock.time.perf_counter", lambda: 0.0)


@pytest.mark.parametrize(("trt", "graphs"), [(TENSORRT, 1), (TENSORRT_RTX, 0)])
def test_copies_are_timed_and_results_the_same(
    open_plan: Open, engine: Path, frozen: None, trt: Any, graphs: int
) -> None:
    plan, _ = open_plan(engine, trt=trt)
    clock = CopyClock(plan.device)
    context = plan.create_context(clock)
    images = np.full((2, IMAGE_SIZE, IMAGE_SIZE, 3), 200, np.uint8)
    expected = plan.detect(images)
    with counted("captures") as captures:
        for _ in range(4):  # plain, recorded, replayed, replayed
            found = plan.collect(context.run(images))
            assert clock.host_to_device_ms == pytest.approx(UPLOAD_MS)
            # All but the masks, which are fetched after them, by the host's clock, which stands still.
            assert clock.device_to_host_ms == pytest.approx(DOWNLOAD_MS)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one.masks, other.masks)
                np.testing.assert_array_equal(one.boxes, other.boxes)
    assert captures == [graphs]
    context.close()
    clock.close()
    assert count("events") == 2  # of the context that `detect` used


def test_the_hosts_part_of_copies_is_counted(open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, _ = open_plan(engine)
    clock = CopyClock(plan.device)
    context = plan.create_context(clock)
    seconds = iter(range(100))
    monkeypatch.setattr("yolact.runtime.bench.copy_clock.time.perf_counter", lambda: float(next(seconds)))
    context.run(np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8))
    assert clock.host_to_device_ms == pytest.approx(1000 + UPLOAD_MS)  # every look at this clock takes a second
    assert clock.device_to_host_ms == pytest.approx(1000 + DOWNLOAD_MS)
    context.close()


def test_events_must_have_come(device: Device) -> None:
    first, second = TimingEvent(device), TimingEvent(device)
    stream = Stream.create(device)
    with device.current():
        first.record(stream)
        second.record(stream)
    with pytest.raises(EngineError, match="CUDA_ERROR_NOT_READY"):
        second.milliseconds_since(first)
    stream.synchronise()
    assert second.milliseconds_since(first) == 0


def test_a_run_that_fails_does_not_spoil_the_next(
    open_plan: Open, engine: Path, frozen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = open_plan(engine)
    clock = CopyClock(plan.device)
    context = plan.create_context(clock)
    images = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    context.run(images)
    with monkeypatch.context() as patch:
        patch.setattr(Stream, "download", lambda *_: (_ for _ in ()).throw(EngineError("no")))
        with pytest.raises(EngineError):
            context.run(images)
    for _ in range(2):
        context.run(images)
        assert clock.device_to_host_ms == pytest.approx(DOWNLOAD_MS)
    context.close()


@pytest.mark.parametrize(("graph", "on_gpu"), [("full", False), ("raw", False), ("full", True), ("raw", True)])
def test_detections_are_the_detectors(
    open_plan: Open,
    request: pytest.FixtureRequest,
    tiny_engine: Path,
    tiny_raw_engine: Path,
    photos: list[np.ndarray],
    graph: str,
    on_gpu: bool,
) -> None:
    import cv2

    kernels = request.getfixturevalue("kernels") if on_gpu else None
    plan, _ = open_plan(tiny_engine if graph == "full" else tiny_raw_engine, kernels=kernels)
    photos = [cv2.resize(photo, (120, 90 + index)) for index, photo in enumerate(photos)]
    steps = stages.in_steps(plan)
    assert steps.software == "TensorRT 10.7.0"
    detector = stages.StagedDetector(steps, "rle")
    files = [EncodedImage("photo", cv2.imencode(".png", photo)[1].tobytes()) for photo in photos]
    for _ in range(3):
        timed = detector(files)
        *parts, whole = timed.milliseconds.values()
        assert set(timed.milliseconds) == set(get_args(stages.Stage))
        assert sum(parts) == pytest.approx(whole)
        for one, other in zip(timed.detections, Detector(plan)(photos), strict=True):
            np.testing.assert_array_equal(one.boxes, other.boxes)
            np.testing.assert_array_equal(one.masks, other.masks)
            assert (one.mask_bits is None) == (other.mask_bits is None) == (not on_gpu or graph == "raw")
    steps.close()


def test_the_gpu_makes_masks_of_the_best(open_plan: Open, kernels: KernelLibrary, engine: Path) -> None:
    plan, _ = open_plan(engine, kernels=kernels)
    steps = stages.in_steps(plan)
    detector = stages.StagedDetector(steps, "rle")
    found = detector.find(np.full((20, 30, 3), 255, np.uint8), 2)
    with counted("kernels") as launched, counted("downloaded") as downloaded:
        table = measure.measure_detections(detector, found, (20, 30), 1e-9)
    assert table["found"] == 4 and [row["detections"] for row in table["counts"]] == [0, 1, 4]
    assert launched == [1 + 4 * 2] and downloaded[0] > 0  # all, then three warm-ups and a run of 1 and of 4; 0 are none
    steps.close()


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a stand-in for nvidia-smi can be written, first on the path."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "nvidia-smi"


def measured(
    open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch, photos: Photos, **request: Any
) -> dict[str, Any]:
    """The whole benchmark; only how a plan file is opened is replaced."""
    plan, _ = open_plan(engine, 1, 4)
    monkeypatch.setattr(measure, "open_engine", lambda *_: plan)
    monkeypatch.setattr(measure, "read_plan_header", lambda path: "a plan")
    return measure.run_benchmark(measure.BenchRequest(engine, duration_s=0.01, **request), photos)


def test_a_plan_from_beginning_to_end(
    open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch, nvidia_smi: Path
) -> None:
    nvidia_smi.write_text('#!/bin/sh\ncase "$*" in *--id=0000:17:00.0*) echo "1755, 2619, 1980, [N/A]";; esac\n')
    nvidia_smi.chmod(0o755)
    result = measured(open_plan, engine, monkeypatch, find_photos([]), batches=(1, 3))
    assert all(latency is not None for row in result["batches"] for latency in row["stages"].values())
    assert result["machine"]["gpu"]["name"] == "Host GPU 0" and result["machine"]["gpu"]["arch"] == "sm_86"
    clocks = result["machine"]["clocks_after"]
    assert [clocks[f"{name}_clock_mhz"] for name in ("sm", "memory", "max_sm")] == [1755, 2619, 1980]
    assert clocks["max_memory_clock_mhz"] is None
    assert result["memory"]["gpu_rise_mib"] > 0
    lines = "\n".join(report_lines(result))
    assert "SM 1755 MHz, memory 2619 MHz" in lines and "host to device" in lines and "GPU memory" in lines
    stage_means = {name: latency["mean_ms"] for name, latency in result["batches"][0]["stages"].items()}
    counted_ms = sum(stage_means[name] for name in ("engine", "device_to_host", "postprocess"))
    assert result["fps"]["as_the_paper"] == pytest.approx(1000 / counted_ms)


@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 9\n", "#!/bin/sh\necho ,\n"])
def test_clocks_that_cannot_be_read(
    open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch, nvidia_smi: Path, script: str | None
) -> None:
    if script is None:
        monkeypatch.setenv("PATH", str(nvidia_smi.parent))
    else:
        nvidia_smi.write_text(script)
        nvidia_smi.chmod(0o755)
    result = measured(open_plan, engine, monkeypatch, find_photos([]))
    assert result["machine"]["clocks_before"]["sm_clock_mhz"] is None
    assert "SM unknown" in "\n".join(report_lines(result))


def test_a_batch_that_the_plan_does_not_take(open_plan: Open, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"this plan takes 1 to 4 images a call, got 5; .*--max-batch 5"):
        measured(open_plan, engine, monkeypatch, find_photos([]), batches=(1, 5))
