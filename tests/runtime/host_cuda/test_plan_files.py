"""Commands on the file of a plan, from the command line to the kernels and back; TensorRT alone is played."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import pytest
from host_cuda.host_driver import count, counted
from host_cuda.host_tensorrt import TENSORRT, write_plan
from same_films import assert_same_film
from scripted_engine import infer, read_json, write_video

from yolact.runtime.cuda.kernels import LIBRARY
from yolact.runtime.detector import Detector
from yolact.runtime.doctor import examine_engine
from yolact.runtime.engine import EngineOptions
from yolact.runtime.images.arrays import Image


@pytest.fixture
def plan(tmp_path: Path, tiny_engine: Path, kernels_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan of `tiny_engine`, on a machine with the kernels."""
    monkeypatch.setitem(sys.modules, "tensorrt", TENSORRT)
    monkeypatch.setattr("yolact.runtime.cuda.kernels.LIBRARY", kernels_folder / LIBRARY.name)
    return write_plan(tmp_path / "tiny.plan", tiny_engine)


@pytest.mark.parametrize("options", [[], ["--score-threshold", "0.02", "--top-k", "7", "--classes", "dog,kite"]])
def test_infer_writes_what_it_writes_with_the_onnx_file(
    plan: Path, tiny_engine: Path, photos: list[Image], tmp_path: Path, options: list[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, photo in enumerate(photos):
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(photo, (211 - 30 * index, 150)))
    (folder / "0broken.png").write_bytes((folder / "0.png").read_bytes()[:5000])
    video = write_video(tmp_path / "video.avi", 4, (64, 48))
    written = {}
    for engine in (plan, tiny_engine):
        output = tmp_path / f"out-{engine.stem}{engine.suffix}"
        arguments = [folder, video, folder / "1.png", "--output", output, "--json", f"{output}.json", *options]
        with counted("kernels") as kernels:
            result = infer(engine, *arguments)
        assert result.exit_code == 1 and "0broken.png" in result.output, result.output
        assert (kernels[0] >= 4 + 4) == (engine == plan)
        pictures = {path.name: path.read_bytes() for path in sorted(output.glob("*.png"))}
        written[engine] = (
            pictures,
            read_json(Path(f"{output}.json")),
            [line.rpartition(",")[0] for line in result.output.splitlines() if " ms" in line],
        )
    assert written[plan] == written[tiny_engine]
    assert_same_film(*(tmp_path / f"out-{engine.stem}{engine.suffix}" / "video.mp4" for engine in (plan, tiny_engine)))
    pictures, rows, lines = written[plan]
    assert len(pictures) == 4 and sum(len(row["detections"]) for row in rows) > 8 and len(lines) == 8
    assert count("contexts") == 0


@pytest.mark.parametrize("built", [True, False])
def test_doctor_says_where_images_and_masks_are_stretched(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: bool
) -> None:
    if not built:
        monkeypatch.setattr("yolact.runtime.cuda.kernels.LIBRARY", tmp_path / LIBRARY.name)
    findings = {finding.title: finding for finding in examine_engine(plan, EngineOptions())}
    place = "on the GPU" if built else "on the CPU, without kernels for this GPU: yolact-build-plugins"
    assert findings["images and masks"] == ("images and masks", built, f"stretched {place}")
    assert findings["verdict"].usable


def test_a_plan_opened_by_its_name_streams(plan: Path, tiny_engine: Path, photos: list[Image]) -> None:
    with Detector.open(plan) as detector, Detector.open(tiny_engine) as onnx:
        small = [cv2.resize(photo, (90, 70)) for photo in photos]
        for found, right in zip(detector.stream(small, 2), onnx(small), strict=True):
            assert found.rle() == right.rle() and found.mask_bits is not None
        assert "cuda:0" in repr(detector)
