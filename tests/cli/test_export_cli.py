"""`yolact-export` as its users run it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import cv2
import missing
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result
from packaging.version import Version
from seeded import seeded_weights

from yolact.cli.export import main
from yolact.export.onnx_model import MIN_OPSETS
from yolact.export.summary import OPSETS_OF_ONNX_RUNTIME
from yolact.export.verify import NEWER_RUNTIME
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError
from yolact.runtime.tensorrt.plan_file import read_sidecar
from yolact.training.models.configs import CONFIGS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three custom classes on a configuration of ours, under the file name that training gives it."""
    path = tmp_path_factory.mktemp("weights") / "yolact_demo_54_800000.pth"
    config = CONFIGS["yolact_demo"].with_classes(("a", "b", "c"))
    torch.save(seeded_weights(config), path)
    return path


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_writes_a_checked_file(checkpoint: Path, tmp_path: Path) -> None:
    output, names = tmp_path / "custom.onnx", tmp_path / "names.txt"
    names.write_text("apple\npear\nplum\n\n", encoding="utf-8-sig")
    result = export(
        *("--weights", checkpoint, "--output", output, "--imgsz", "160", "--class-names", names, "--batch", "2"),
        *("--score-threshold", "0.1", "--nms-threshold", "0.4", "--nms-top-k", "60", "--max-detections", "7"),
        *("--cross-class-nms", "--opset", "19"),
    )
    assert result.exit_code == 0, result.output
    assert "yolact_demo: 3 classes, 160x160 input" in result.stdout
    assert f"wrote {output}" in result.stdout and "opset 19, batch 2" in result.stdout
    for name in ("locations", "confidences", "coefficients", "prototypes", "boxes", "scores", "masks"):
        assert f"  {name}" in result.stdout
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".onnx"] == ["custom.onnx"]
    with Detector.open(output) as detector:
        metadata = detector.metadata
    assert metadata.config.class_names == ("apple", "pear", "plum") and metadata.config.image_size == 160
    settings = metadata.postprocess
    assert (settings.score_threshold, settings.nms_threshold, settings.top_k) == (0.1, 0.4, 60)
    assert (settings.max_detections, settings.nms) == (7, "cross-class")
    assert metadata.weights_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def test_the_name_of_the_checkpoint_may_be_gone(checkpoint: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "best.pth"
    renamed.symlink_to(checkpoint)
    result = export("--weights", renamed, "--output", tmp_path / "a.onnx", "--imgsz", "96", "--graph", "raw")
    assert result.exit_code == 0, result.output
    assert "yolact_demo: 3 classes" in result.stdout
    with Detector.open(tmp_path / "a.onnx") as detector:
        assert detector.class_names == ("class_0", "class_1", "class_2")


def test_bf16_files_say_where_they_run(checkpoint: Path, here: Path) -> None:
    result = export("--weights", checkpoint, "--imgsz", "96", "--bf16", "--output", "a.onnx")
    first = OPSETS_OF_ONNX_RUNTIME[MIN_OPSETS["bf16"]]
    assert f"bf16 needs ONNX Runtime {first} or later" in NEWER_RUNTIME
    if Version(onnxruntime.__version__) < Version(first):
        assert result.exit_code == 4 and result.stderr.endswith(f"; {NEWER_RUNTIME}\n") and not Path("a.onnx").exists()
        return
    assert result.exit_code == 0 and "bf16 does not run on ONNX Runtime's CPU provider" in result.stdout
    with pytest.raises(EngineError, match=r"lacks on this device.*bf16 files run in TensorRT plans and with --"):
        Detector.open("a.onnx")


@pytest.mark.parametrize("mode", ["strip", "inline"])
def test_function_modes(checkpoint: Path, tmp_path: Path, mode: str) -> None:
    output = tmp_path / "a.onnx"
    result = export("--weights", checkpoint, "--output", output, "--imgsz", "96", "--functions", mode)
    assert result.exit_code == 0, result.output
    proto = onnx.load(output)
    assert not proto.functions
    assert any(node.domain == "yolact" for node in proto.graph.node) == (mode == "strip")


def test_checks_on_a_photo(checkpoint: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    arguments = ("--weights", checkpoint, "--output", tmp_path / "a.onnx", "--imgsz", "96", "--check-image")
    assert export(*arguments, photo).exit_code == 0
    photo.write_bytes(photo.read_bytes()[:100])
    (tmp_path / "a.onnx").unlink()
    result = export(*arguments, photo)
    assert result.exit_code == 1 and "photo.png" in result.stderr
    assert not (tmp_path / "a.onnx").exists()


@pytest.fixture
def small(checkpoint: Path, here: Path) -> tuple[str | Path, ...]:
    """The start of an export that is quick."""
    return "--weights", checkpoint, "--imgsz", "96"


def needs_rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_half_precision_becomes_a_plan(small: tuple[str | Path, ...], here: Path, name: str) -> None:
    needs_rtx()
    result = export(*small, f"--{name}", "--gpu-arch", "sm_86", "--max-batch", "2")
    assert result.exit_code == 0, result.output
    assert f"3 classes, 96x96 input, {name}" in result.stdout and f"found again in {name}" in result.stdout
    assert f"for sm_86; 81 convolutions in {name}; batch " in result.stdout and "wrote yolact.plan: " in result.stdout
    identity, metadata = read_sidecar(here / "yolact.plan.json")
    assert identity.precision_asked == metadata.precision == name and identity.max_batch == 2
    assert (here / "yolact.plan").read_bytes()[:4] == b"vtrt"
    assert sorted(path.name for path in here.iterdir()) == ["yolact.plan", "yolact.plan.json"]


def test_plans_are_built_by_name(small: tuple[str | Path, ...], here: Path) -> None:
    needs_rtx()
    assert export(*small, "--output", "a.plan").exit_code == 0
    assert read_sidecar(here / "a.plan.json")[0].precision_obtained == {"FLOAT": 81}
    assert export(*small, "--batch", "3", "--output", "b.engine").exit_code == 0
    identity, _ = read_sidecar(here / "b.engine.json")
    assert (identity.min_batch, identity.max_batch) == (3, 3)


def test_without_a_builder_half_precision_is_an_onnx_file(
    small: tuple[str | Path, ...], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    result = export(*small, "--fp16")
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stdout.splitlines() if "nothing here can build plans" in line]
    assert len(notes) == 1 and "pip install -e '.[rtx]'" in notes[0]
    assert "wrote yolact.onnx" in result.stdout
    with Detector.open("yolact.onnx") as detector:
        assert detector.metadata.precision == "fp16"
    result = export(*small, "--fp16", "--output", "a.plan")
    assert result.exit_code == 1 and ".[rtx]" in result.stderr and not Path("a.plan").exists()


def test_weights_beyond_half_precision_are_refused(checkpoint: Path, here: Path) -> None:
    tensors = torch.load(checkpoint)
    tensors["proto_net.0.bias"][:2] = 1e6
    torch.save(tensors, "yolact_demo_1_1.pth")
    result = export("--weights", "yolact_demo_1_1.pth", "--imgsz", "96", "--fp16", "--output", "a.onnx")
    assert result.exit_code == 3 and not Path("a.onnx").exists()
    assert "2 of 64 values of 'proto_net.0.bias' are not finite in fp16; nothing was written" in result.stderr


def bad_names(text: bytes) -> object:
    def arguments(folder: Path) -> list[str]:
        (folder / "names.txt").write_bytes(text)
        return ["--class-names", str(folder / "names.txt")]

    return arguments


REJECTED = {
    "configuration": (["--config", "yolact_big"], 2, "yolact_base"),
    "other configuration": (["--config", "yolact_darknet53"], 1, "--config yolact_demo"),
    "threshold": (["--score-threshold", "2"], 2, "score_threshold must lie in"),
    "threshold is text": (["--score-threshold", "low"], 2, "low"),
    "top-k": (["--nms-top-k", "0"], 2, "top_k must be a whole number of at least 1"),
    "detections": (["--nms-top-k", "2", "--max-detections", "9"], 2, "at most 6 boxes"),
    "opset": (["--opset", "11"], 2, "opset must be 17"),
    "batch": (["--batch", "many"], 2, "positive number or 'dynamic'"),
    "batch of none": (["--batch", "0"], 2, "positive number or 'dynamic'"),
    "image size": (["--imgsz", "20"], 2, "image_size must be 64 to"),
    "graph": (["--graph", "half"], 2, "half"),
    "output folder": (lambda folder: ["--output", str(folder)], 2, "is a directory"),
    "output device": (["--output", "/dev/null"], 2, "expected a name that ends in one of .onnx, .plan"),
    "output is the checkpoint": (["--output", "{weights}"], 2, "expected a name that ends in one of .onnx, .plan"),
    "output is a photo": (["--check-image", "a.onnx", "--output", "a.onnx"], 2, "is one of the inputs"),
    "two precisions": (["--fp16", "--bf16"], 2, "--fp16 and --bf16 exclude each other"),
    "opset without bf16": (["--bf16", "--opset", "21", "--output", "a.onnx"], 2, "opset must be 22 to"),
    "builder's option for ONNX": (["--max-batch", "4", "--output", "a.onnx"], 2, "--max-batch is for plans"),
    "functions of a plan": (["--functions", "strip", "--output", "a.plan"], 2, "--functions is for ONNX files"),
    "architecture": (["--gpu-arch", "sm_42"], 2, "builds for sm_75, "),
    "batches of a plan": (["--max-batch", "0"], 2, "1 <= min <= opt <= max"),
    "a fixed batch and another": (["--batch", "4", "--max-batch", "8"], 2, "batches of exactly 4"),
    "plan's folder": (["--output", "nowhere/a.plan"], 2, "there is no folder nowhere"),
    "no output folder": (["--output", "nowhere/a.onnx"], 2, "there is no folder nowhere"),
    "names missing": (["--class-names", "nowhere.txt"], 2, "nowhere.txt"),
    "too few names": (bad_names(b"a\nb\n"), 2, "has 3 classes, but 2 class names"),
    "no names": (bad_names(b"\n"), 2, "no names"),
    "a name of nothing to see": (bad_names("a\n\u200b\nb\n".encode()), 2, "names.txt has an empty line"),
    "a name that looks the same": (bad_names("p q\nb\np\u2060\u00a0q".encode()), 2, "in line 1 and line 3; names must"),
    "a long name": (
        bad_names(b"a\nb\n" + b"c" * 201),
        2,
        "names.txt has 201 characters in line 3, expected at most 200",
    ),
    "a name twice": (bad_names(b"a\nb\na\n"), 2, "names.txt has a in line 1 and line 3; names must differ"),
    "a control character": (bad_names(b"a\n\x1b[2Jb\nc\n"), 2, "names.txt has a control character in line 2"),
    "gap in names": (bad_names(b"a\n\nb\n"), 2, "empty line"),
    "binary names": (bad_names(b"\xff\xfe\x00"), 2, "UTF-8"),
    "no photo": (["--check-image", "nowhere.jpg"], 1, "nowhere.jpg"),
}

OF_WHAT_BUILDS_PLANS = {"functions of a plan", "architecture", "a fixed batch and another", "plan's folder"}
"""Requests that are looked at only where something here builds plans."""


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_requests(checkpoint: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in OF_WHAT_BUILDS_PLANS:
        needs_rtx()
    arguments, code, message = REJECTED[name]
    monkeypatch.chdir(tmp_path)
    arguments = arguments(tmp_path) if callable(arguments) else arguments
    before = checkpoint.stat()
    result = export("--weights", checkpoint, *(str(checkpoint) if a == "{weights}" else a for a in arguments))
    assert checkpoint.stat() == before
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output and result.exception.__class__ is SystemExit
    assert not list(tmp_path.rglob("*.onnx")) and not list(tmp_path.rglob("*.plan*"))


CHECKPOINTS = {
    "missing": (None, "nowhere.pth"),
    "truncated": (lambda data: data[: len(data) // 2], "truncated"),
    "text": (lambda _data: b"hello", "no file of tensors"),
    "empty": (lambda _data: b"", "is empty; download or copy it again"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_rejected_checkpoints(checkpoint: Path, tmp_path: Path, name: str) -> None:
    damage, message = CHECKPOINTS[name]
    path = tmp_path / "nowhere.pth"
    if damage is not None:
        path.write_bytes(damage(checkpoint.read_bytes()))
    result = export("--weights", path, "--output", tmp_path / "a.onnx")
    assert result.exit_code == 1 and message in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "a.onnx").exists()


def test_tool_is_described_in_its_help() -> None:
    result = export("--help")
    assert result.exit_code == 0 and "--cross-class-nms" in result.stdout
