"""The comparison of runtimes on a CPU: who may be timed, who may not, and what the figures say; never how fast."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from repository import ROOT

from benchmarks.cpu.runtimes import measuring as cpu_measuring
from benchmarks.cpu.runtimes import tables as cpu_tables
from benchmarks.cpu.runtimes.agreement import References
from benchmarks.cpu.runtimes.command import main
from benchmarks.cpu.runtimes.contenders import CONTENDERS, REFERENCE
from benchmarks.cpu.runtimes.export import convert_for_ncnn, write_files
from benchmarks.cpu.runtimes.files import Files
from benchmarks.cpu.runtimes.workers import EndToEnd, Failed, Heads, Worker, describe
from benchmarks.figures import write_figures
from benchmarks.networks import DEMO, seeded_model
from benchmarks.trained_models import TrainedModel
from yolact.calib.image_set import ImageSet
from yolact.export.onnx_model import export_model
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.image_files import write_image
from yolact.training.data.ground_truth import read_ground_truth

PHOTOS = [make_check_image(120, 200, seed) for seed in range(2)]
FOREIGN = {"ncnn-fp32": "pnnx"}


TINY = ModelConfig("tiny", "mobilenet_v2", 160, ("person", "dog", "kite"), fpn_channels=64)
BACKGROUND = 2.0
"""Bias of the background: low enough for more detections than there may be."""

POSTPROCESS = PostprocessConfig(max_detections=20)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Of the tiny network, without ncnn's."""
    folder = tmp_path_factory.mktemp("files")
    for index, photo in enumerate(PHOTOS):
        write_image(folder / f"{index}.png", photo)
    photos = ImageSet.of_folder(folder, 2)
    written = write_files(seeded_model(TINY, BACKGROUND), POSTPROCESS, folder, photos, ncnn=False)
    return replace(written, problems={"raw.ncnn.param": "pnnx is on holiday"})


@pytest.fixture(scope="module")
def references(files: Files) -> References:
    return References(files, PHOTOS)


def open_here(kind: type, name: str, files: Files) -> Heads | EndToEnd:
    """A contender in this process."""
    if name in FOREIGN:
        pytest.importorskip(FOREIGN[name], reason=f"{FOREIGN[name]} is not installed -- pip install {FOREIGN[name]}")
    if name == "ncnn-fp32":
        files = replace(files, problems={})
        if not files.path("raw.ncnn.param").exists():
            raw = export_model(seeded_model(TINY, BACKGROUND), POSTPROCESS, weights_sha256="", graph="raw")
            assert convert_for_ncnn(raw, files.folder) is None
    return kind(CONTENDERS[name], files, 1, PHOTOS)


@pytest.mark.parametrize("name", [name for name in CONTENDERS if name != "compiled"])
def test_contenders_find_the_same(name: str, files: Files, references: References) -> None:
    """Those in float32 do so within the bounds; those that round find something, near enough to be no other network."""
    rounded = CONTENDERS[name].rounded
    whole = open_here(EndToEnd, name, files)
    if CONTENDERS[name].open_heads is not None:
        heads = open_here(Heads, name, files)
        answers = [heads.answer(index) for index in range(len(PHOTOS))]
        assert references.check_heads(answers, rounded=rounded)["largest_difference"] < (20 if rounded else 5e-3)
        assert heads.time().keys() == {"total"}
    found = [whole.answer(index) for index in range(len(PHOTOS))]
    agreement = references.check_end_to_end(found, rounded=rounded)
    assert agreement["detections"] == 40 and agreement["missed"] <= (20 if rounded else 2)
    for detections, photo in zip(found, PHOTOS, strict=True):
        assert detections.masks.shape == (20, *photo.shape[:2]) and detections.masks.dtype == np.bool_
        assert detections.masks.any() and (detections.boxes >= 0).all()
        assert len(detections[:3].rle()) == 3
    parts = whole.time()
    assert parts.keys() == {"total"} if name == "eager" else parts.keys() == {"total", "engine", "around", "masks"}
    assert sum(parts.values()) == pytest.approx(parts["total"] * (1 if name == "eager" else 2))


def test_int8_files_are_int8(files: Files) -> None:
    """And those for everybody else are not, whether functions are called or inlined."""
    for name in ("raw", "full", "inlined"):
        size, rounded = ((files.folder / f"{name}{form}.onnx").stat().st_size for form in ("", "-int8"))
        assert rounded < 0.4 * size
    session = onnxruntime.InferenceSession(str(files.path("inlined-int8.onnx")), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [
        "num_detections",
        "boxes",
        "scores",
        "classes",
        "masks",
    ]


def test_wrong_heads_are_refused(files: Files, references: References) -> None:
    good = [open_here(Heads, REFERENCE, files).answer(index) for index in range(2)]
    assert references.check_heads(good, rounded=False) == {"largest_difference": 0.0}
    for spoil in (lambda a: a + 0.01, lambda a: np.where(a == a.max(), np.nan, a), lambda a: a[:, :-1]):
        bad = [good[0], [*good[1][:-1], spoil(good[1][-1])]]
        with pytest.raises(Failed, match=r"heads differ from ONNX Runtime's by (0\.01|inf), more than 0\.005"):
            references.check_heads(bad, rounded=False)


def test_wrong_detections_are_refused(files: Files, references: References) -> None:
    good = [open_here(EndToEnd, REFERENCE, files).answer(index) for index in range(2)]
    same = {"detections": 40, "missed": 0, "spurious": 0, "median_mask_iou": 1.0}
    assert references.check_end_to_end(good, rounded=False) == same
    other = replace(good[1], class_ids=(good[1].class_ids + 1) % 3)
    with pytest.raises(Failed, match=r"of the detections differ from ours, more than 5%"):
        references.check_end_to_end([good[0], other], rounded=False)
    shifted = [replace(one, mask_probabilities=np.roll(one.mask_probabilities, 6, axis=2)) for one in good]
    with pytest.raises(Failed, match=r"masks overlap ours by 0\.\d+ in the median, less than 0\.95"):
        references.check_end_to_end(shifted, rounded=False)
    assert references.check_end_to_end(shifted, rounded=True)["missed"] == 0


def test_who_cannot_run_is_in_the_results(files: Files, references: References) -> None:
    """In processes of their own, as always."""
    names = [REFERENCE, "eager", "ncnn-fp32"]
    rows = cpu_measuring.measure_level("end_to_end", references.check_end_to_end, names, files, PHOTOS, 2, 1)
    assert list(rows) == names
    expected = {"label": CONTENDERS["ncnn-fp32"].label, "rounded": False, "failed": "pnnx is on holiday"}
    assert rows["ncnn-fp32"] == expected
    for name in (REFERENCE, "eager"):
        row = rows[name]
        assert 0 < row["ms"]["p10"] <= row["ms"]["median"] <= row["ms"]["p90"]
        assert row["peak_memory_mb"] > 20 and row["times_as_fast"] > 0 and row["agreement"]["detections"] == 40
    assert rows["eager"]["times_as_fast"] == 1
    shown = cpu_tables.end_to_end({"end_to_end": rows})
    assert "| ncnn, FP32, and our NumPy | not run: pnnx is on holiday |" in shown


def test_a_process_that_dies_is_a_failure(files: Files) -> None:
    worker = Worker(REFERENCE, "heads", files, 1, PHOTOS)
    try:
        assert worker.ask("answer", 0)[0].shape[0] == 1
        with pytest.raises(Failed, match="has no attribute 'nothing'"):
            worker.ask("nothing")
        worker._process.kill()
        with pytest.raises(Failed, match="its process ended with exit code -9"):
            worker.ask("time")
    finally:
        worker.close()


def test_processes_carry_no_other_runtime() -> None:
    """Their memory is compared."""
    program = "import sys, benchmarks.cpu.__main__, benchmarks.cpu.runtimes.workers; "
    program += "print(sys.modules.keys() & {'torch', 'onnx', 'onnxruntime'})"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_figures_of_samples() -> None:
    """Ratios are of runs of the same round: here a machine that slows down to a tenth half-way."""
    mine = [{"total": ms, "engine": ms - 1} for ms in (10.0, 10.0, 100.0, 100.0, 30.0)]
    eager = [{"total": 2 * sample["total"]} for sample in mine]
    row = cpu_measuring.summarise(mine, eager)
    assert row == {
        "ms": {"median": 30.0, "p10": 10.0, "p90": 100.0},
        "times_as_fast": 2.0,
        "parts_ms": {"engine": 29.0},
    }
    assert "times_as_fast" not in cpu_measuring.summarise(mine, None)


def test_in_graph_postprocessing_is_part_of_a_run(files: Files) -> None:
    assert cpu_measuring.in_graph_postprocessing(files, PHOTOS[0], 1, 1) > 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'x'", name="x"), "x is not installed"),
        (RuntimeError("two\n  lines"), "two lines"),
        (ValueError(), "ValueError"),
        (RuntimeError("long " * 200), "long " * 59 + "lo..."),
    ],
)
def test_reasons_are_one_line(error: Exception, reason: str) -> None:
    assert describe(error) == reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "eager,tflite"], "expected some of ours-fp32, ours-int8, ours-raw-fp32"),
        (["--only", ""], "expected some of"),
        (["--runs", "0"], "--runs"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_rejected_arguments(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and message in result.output


def test_figures_are_written_whole_or_not_at_all(tmp_path: Path, photos: list[Image]) -> None:
    path = tmp_path / "a.json"
    write_figures(path, {"a": [1, 2.5]})
    assert path.read_text() == '{\n "a": [\n  1,\n  2.5\n ]\n}\n'
    with pytest.raises(TypeError):
        write_figures(path, {"a": photos[0]})
    assert path.read_text().startswith('{\n "a"') and list(tmp_path.iterdir()) == [path]
    with pytest.raises(YolactError, match=f"cannot write {tmp_path}: it exists and is no regular file"):
        write_figures(tmp_path, {})


@pytest.mark.parametrize(
    ("place", "message"),
    [("", "exists and is no regular file"), ("none/a.json", "there is no folder .*none; create it first")],
)
def test_figures_that_cannot_be_written_are_refused_before(tmp_path: Path, place: str, message: str) -> None:
    result = CliRunner().invoke(main, ["--json", str(tmp_path / place)])
    assert result.exit_code == 2 and re.search(message, result.output)


def test_a_trained_model_has_its_accuracy_beside_its_speed(tmp_path: Path) -> None:
    (examples := tmp_path / "images").mkdir()
    for path in (ROOT / "examples" / "bins" / "images").iterdir():
        shutil.copy(path, examples)
    truth = read_ground_truth(ROOT / "examples" / "bins" / "annotations.json", examples)
    trained = TrainedModel(DEMO, PostprocessConfig(), ImageSet.of_folder(examples, 2), truth)
    names = ["ours-openvino-int8", "eager", "ncnn-fp32"]
    measured = cpu_measuring.measure_trained(trained, names, 1, 1)
    assert list(measured["rows"]) == names and measured["pictures"] == len(truth.images)
    for name in names[:2]:
        row = measured["rows"][name]
        assert row["ap"]["mask"] > 0.6, name
        assert row["ms"]["median"] > 1 and row["agreement"]["detections"] > 0
    shown = cpu_tables.trained("bins")({"trained": {"bins": measured}})
    assert re.search(r"\n\| PyTorch, eager \| \d+ \| .* \| \d\d\.\d\d \| \d\d\.\d\d \|\n", shown)
    assert cpu_tables.trained("nuclei")({"trained": {"bins": measured}}) == ""
