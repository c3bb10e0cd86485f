"""What `yolact-bench` counts and measures, part by part; how long anything takes is not looked at."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import cv2
import missing
import numpy as np
import pytest
from scripted_engine import write_engine, write_photo

from yolact.runtime.bench import machine
from yolact.runtime.bench.measure import KEPT, WARM_UPS, count_fps, measure_detections
from yolact.runtime.bench.photos import EncodedImage, find_photos
from yolact.runtime.bench.stages import MAKE_MASKS, MaskForm, OnnxSteps, StagedDetector
from yolact.runtime.bench.summary import fit_slope, summarise_runs
from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.engine import OnnxEngine
from yolact.runtime.postprocess.postprocess import NetworkDetections


def encoded(image: Image, name: str = "image") -> EncodedImage:
    return EncodedImage(name, cv2.imencode(".png", image)[1].tobytes())


def staged(engine: OnnxEngine, masks: MaskForm = "full") -> StagedDetector:
    return StagedDetector(OnnxSteps(engine), masks)


# ---- figures ----


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 100, 101, 1000])
def test_percentiles_are_those_of_the_textbook(count: int) -> None:
    samples = np.random.default_rng(count).gamma(2.0, 10.0, count).tolist()
    got = summarise_runs(samples, 4)
    ordered = sorted(samples)
    for percent, key in ((50, "p50_ms"), (90, "p90_ms"), (99, "p99_ms")):
        whole, rest = divmod((count - 1) * percent, 100)
        following = ordered[min(whole + 1, count - 1)]
        assert got[key] == pytest.approx(ordered[whole] + (following - ordered[whole]) * rest / 100)  # type: ignore[literal-required]
    assert got["p50_ms"] == pytest.approx(statistics.median(samples))
    assert got["mean_ms"] == pytest.approx(statistics.fmean(samples))
    assert got["images_per_s"] == pytest.approx(4 * count / (sum(samples) / 1000))


def test_no_rate_without_time() -> None:
    assert summarise_runs([0.0, 0.0], 1)["images_per_s"] is None


def test_the_slope_is_that_of_the_line() -> None:
    assert fit_slope([0, 1, 10, 50], [2.0, 2.5, 7.0, 27.0]) == pytest.approx(0.5)
    assert fit_slope([0, 2], [1.0, 0.0]) == pytest.approx(-0.5)
    assert fit_slope([0], [1.0]) is None


def test_fps_count_what_they_say() -> None:
    def row(batch: int, **means: float) -> dict[str, Any]:
        stages = {stage: {"mean_ms": value, "images_per_s": 1000 * batch / value} for stage, value in means.items()}
        return {"batch": batch, "stages": stages}

    times = {"decode": 5.0, "preprocess": 3.0, "host_to_device": 1.0, "engine": 20.0, "device_to_host": 2.0}
    one = row(1, **times, postprocess=18.0, end_to_end=49.0)
    assert count_fps([row(2, engine=1.0, postprocess=1.0, end_to_end=1.0), one]) == {
        "as_the_paper": pytest.approx(25.0),  # 20 + 2 + 18 ms: nothing before the network
        "end_to_end": pytest.approx(1000 / 49),
    }
    one["stages"]["device_to_host"] = None  # on a CPU
    assert count_fps([one])["as_the_paper"] == pytest.approx(1000 / 38)
    assert count_fps([row(2, end_to_end=1.0)]) == {"as_the_paper": None, "end_to_end": None}


# ---- images ----


def test_photos_take_turns(tmp_path: Path) -> None:
    paths = [write_photo(tmp_path / f"{name}.png", 8 + index, 16) for index, name in enumerate("abc")]
    photos = find_photos([str(paths[2]), str(tmp_path)])  # a file, then the folder in the order of names
    names = [photo.name for batch in (2, 3, 1, 6) for photo in photos.take(batch)]
    assert names == [str(paths[i]) for i in (2, 0, 1, 2) * 3]
    assert photos.first().name == str(paths[2])
    assert photos.first().decode().shape == (10, 16, 3)


def test_the_made_up_scene_has_the_size_of_a_camera() -> None:
    photos = find_photos([])
    (name,) = photos.names
    assert "1280x720" in name and photos.take(3) == [photos.first()] * 3
    assert photos.first().decode().shape == (720, 1280, 3) and photos.first().data[:2] == b"\xff\xd8"


# ---- stages ----


@pytest.mark.parametrize("graph", ["full", "raw"])
@pytest.mark.parametrize("count", [1, 3])
def test_detections_are_the_detectors(
    tiny_engine: Path, tiny_raw_engine: Path, photos: list[Image], graph: str, count: int
) -> None:
    path = tiny_engine if graph == "full" else tiny_raw_engine
    timed = staged(OnnxEngine(path))([encoded(photo) for photo in photos[:count]])
    expected = Detector.open(path)(photos[:count])
    for one, other in zip(timed.detections, expected, strict=True):
        assert len(one)
        for name in ("boxes", "scores", "class_ids", "masks"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert one.image_size == other.image_size
    assert set(timed.milliseconds) == {"decode", "preprocess", "engine", "postprocess", "end_to_end"}
    *parts, whole = timed.milliseconds.values()
    assert sum(parts) == pytest.approx(
        whole
    )  # one clock, read between the stages: nothing is left out or counted twice


def test_masks_are_made_in_the_form_asked_for(engine: Path) -> None:
    found = Detector.open(engine)(np.full((30, 50, 3), 255, np.uint8))
    assert np.shape(MAKE_MASKS["full"](found)) == (4, 30, 50)
    assert MAKE_MASKS["rle"](found) == found.rle()


class Recording(StagedDetector):
    """Remembers what it finished."""

    def finish(self, *arguments: Any) -> list[Detections]:
        found = super().finish(*arguments)
        self.seen = [*getattr(self, "seen", []), found]
        return found


@pytest.mark.parametrize("mask_scores", [None, [0.9, 0.8, 0.7, 0.6]])
def test_detections_are_kept_from_the_best(tmp_path: Path, mask_scores: list[float] | None) -> None:
    engine = OnnxEngine(write_engine(tmp_path / "scripted.onnx", mask_scores))
    detector = Recording(OnnxSteps(engine), "rle")
    found = detector.find(np.full((20, 30, 3), 255, np.uint8), 1)
    table = measure_detections(detector, found, (20, 30), 0.01)
    assert [row["detections"] for row in table["counts"]] == [0, 1, 4]  # of 0, 1, 10, 50, 100: as many as there are
    assert (table["found"], table["width_px"], table["height_px"]) == (4, 30, 20)
    whole, *parts = [one for (one,) in detector.seen]
    assert list(map(len, parts)) == [0, 1, 4] * (WARM_UPS + table["runs"]) and len(whole) == 4
    for part in parts:
        assert part.image_size == (20, 30)
        for name in ("boxes", "scores", "class_ids", "mask_scores", "mask_probabilities"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole[: len(part)], name))


@pytest.mark.parametrize(("found", "kept"), [(0, [0]), (1, [0, 1]), (10, [0, 1, 10]), (99, [0, 1, 10, 50, 99]),
                                             (100, list(KEPT)), (150, list(KEPT))])  # fmt: skip
def test_numbers_of_detections(engine: Path, found: int, kept: list[int]) -> None:
    boxes, ones = np.zeros((found, 4), np.float32), np.ones(found, np.float32)
    network = NetworkDetections(boxes, ones, ones.astype(np.int32), np.zeros((found, 4, 4), np.float32))
    table = measure_detections(staged(OnnxEngine(engine)), network, (8, 8), 1e-9)
    assert [row["detections"] for row in table["counts"]] == kept
    assert table["runs"] == 1 and (table["ms_per_detection"] is None) == (found == 0)


# ---- the machine ----


def test_peak_memory_is_a_peak_of_this_process() -> None:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip(missing.LINUX)
    block = np.ones(8 << 20)
    pages = int(statm.read_text().split()[1])
    peak = machine.peak_host_memory_mib()
    assert peak is not None and peak * 2**20 >= min(block.nbytes, pages * 4096)
    del block
    # It stays, but for what Linux counts by processor and sums up now and then.
    assert machine.peak_host_memory_mib() >= peak - 2


def test_clocks_are_read_from_what_the_kernel_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = "".join(f"model name\t: Some CPU @ 2GHz: fast\ncpu MHz\t\t: {mhz}\n\n" for mhz in (1000.0, 3000.5))
    files = {"cpuinfo": cpuinfo, "scaling_governor": "powersave\n", "status": "VmPeak:\t 9 kB\nVmHWM:\t  3072 kB\n"}
    monkeypatch.setattr(machine, "_read", lambda path: files[path.name])
    assert machine.describe_cpu()["model"] == "Some CPU @ 2GHz: fast"
    assert machine.describe_cpu()["governor"] == "powersave"
    assert machine.read_clocks(None) == {"cpu_mhz": 2000.2}
    assert machine.peak_host_memory_mib() == 3.0
