"""`yolact-export --int8` and its accuracy gate, on the trained demonstration model."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import missing
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from repository import BINS
from repository import DEMO_CHECKPOINT as DEMO

from yolact.cli.bench import main as bench_main
from yolact.cli.build import main as build_main
from yolact.cli.diff import main as diff_main
from yolact.cli.doctor import main as doctor_main
from yolact.cli.eval import main as eval_main
from yolact.cli.export import main
from yolact.cli.infer import main as infer_main
from yolact.runtime.detector import Detector
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.image_files import read_image, write_image
from yolact.runtime.metadata import ModelMetadata, Quantization
from yolact.runtime.tensorrt.plan_file import read_sidecar


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotated bins, which the demonstration model knows."""
    return Path(shutil.copytree(BINS, tmp_path_factory.mktemp("scenes") / "bins"))


@pytest.fixture(scope="module")
def cache(scenes: Path) -> Path:
    """One calibration for all tests."""
    return scenes / "calibration.json"


@pytest.fixture
def small(scenes: Path, cache: Path, here: Path) -> tuple[str, ...]:
    """The start of a quick INT8 export, in an empty working directory."""
    return "--weights", str(DEMO), "--int8", "--calib-data", str(scenes / "images"), "--calib-cache", str(cache)


def export(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def kinds(path: Path, node_type: str) -> set[int]:
    """Element types that nodes of a type read."""
    proto = onnx.shape_inference.infer_shapes(onnx.load(path))
    types = {info.name: info.type.tensor_type.elem_type for info in proto.graph.value_info}
    return {types[node.input[0]] for node in proto.graph.node if node.op_type == node_type and node.input[0] in types}


def test_for_a_cpu(small: tuple[str, ...], scenes: Path) -> None:
    """Unsigned activations, weights in a quarter of the bytes, and nearly the same detections."""
    result = export(*small, "--output", "a.onnx")
    assert result.exit_code == 0, result.output
    assert "INT8 for cpu: 81 of 81 convolutions (backbone, fpn, protonet, head), the rest in fp32" in result.stdout
    assert "percentile ranges of 8 images" in result.stdout and "8 calibration images may be too few" in result.stderr
    assert export("--weights", DEMO, "--output", "b.onnx").exit_code == 0
    assert Path("a.onnx").stat().st_size < 0.6 * Path("b.onnx").stat().st_size
    zeros = [t.data_type for t in onnx.load("a.onnx").graph.initializer if t.name.endswith(".zero")]
    assert onnx.TensorProto.UINT8 in zeros
    with Detector.open("a.onnx") as rounded, Detector.open("b.onnx") as exact:
        quantization = rounded.metadata.quantization
        assert exact.metadata.quantization is None and rounded.metadata.precision == "fp32"
        images = [read_image(path) for path in sorted((scenes / "images").iterdir())]
        counts = [[len(found.select(0.3)) for found in detector(images)] for detector in (rounded, exact)]
    assert quantization is not None and quantization.images == 8
    assert (quantization.platform, quantization.modules) == ("cpu", ("backbone", "fpn", "protonet", "head"))
    assert sum(counts[1]) > 20 and np.abs(np.subtract(*counts)).sum() <= 0.15 * sum(counts[1])


def test_what_is_said_of_a_file_for_a_cpu(small: tuple[str, ...], scenes: Path) -> None:
    assert export(*small, "--output", "a.onnx").exit_code == 0
    runner = CliRunner()
    assert "full graph, fp32 with INT8\n" in runner.invoke(doctor_main, ["--engine", "a.onnx"]).stdout
    truth = ("--annotations", str(scenes / "annotations.json"), "--images", str(scenes / "images"), "--limit", "1")
    assert "yolact_demo, fp32 with INT8, 320x320" in runner.invoke(eval_main, ["--engine", "a.onnx", *truth]).stdout
    timed = runner.invoke(bench_main, ["--engine", "a.onnx", "--duration", "0.01"])
    assert "320x320, full graph, fp32 with INT8\n" in timed.stdout, timed.output
    sentence = (
        "the ONNX file is rounded to INT8 for ONNX Runtime on a CPU, in a form that TensorRT does not take; "
        "export it again with --int8 --int8-platform tensorrt\n"
    )
    on_tensorrt = ("--engine", "a.onnx", "--device", "tensorrt")
    for command, arguments in (
        (infer_main, (*on_tensorrt, str(scenes / "images"), "--output", "drawn")),
        (eval_main, (*on_tensorrt, *truth)),
        (bench_main, (*on_tensorrt, "--duration", "0.01")),
        (diff_main, (*on_tensorrt, "--reference", "a.onnx")),
    ):
        result = runner.invoke(command, arguments)
        assert (result.exit_code, result.stderr) == (4, f"error: {sentence}"), result.output
    assert not any(Path("drawn").iterdir())
    assert sentence in runner.invoke(doctor_main, on_tensorrt).stdout
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    result = runner.invoke(build_main, ["--engine", "a.onnx", "--output", "a.plan", "--gpu-arch", "sm_86"])
    assert result.exit_code == 4 and not Path("a.plan").exists()
    assert result.stderr == f"error: {sentence}"


def test_for_tensorrt_the_rest_is_fp16(small: tuple[str, ...]) -> None:
    result = export(*small, "--output", "a.onnx", "--int8-platform", "tensorrt", "--int8-modules", "protonet,head")
    assert result.exit_code == 0, result.output
    assert "(protonet, head), the rest in fp16" in result.stdout and "opset 19" in result.stdout
    assert kinds(Path("a.onnx"), "Conv") == {onnx.TensorProto.FLOAT16}
    proto = onnx.load("a.onnx")
    zeros = {t.data_type for t in proto.graph.initializer if t.name.endswith(".zero")}
    assert zeros == {onnx.TensorProto.INT8}
    metadata = ModelMetadata.from_proto(proto, "a.onnx")
    assert metadata.quantization is not None and metadata.quantization.modules == ("protonet", "head")


def test_becomes_a_plan(small: tuple[str, ...]) -> None:
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    result = export(*small, "--output", "a.plan", "--gpu-arch", "sm_86")
    assert result.exit_code == 0, result.output
    assert "81 convolutions in fp16, of which those of backbone and protonet are rounded to INT8; " in result.stdout
    assert "INT8 saves no space here" in result.stdout  # in a network as small as this
    identity, metadata = read_sidecar(Path("a.plan.json"))
    assert metadata.quantization is not None and metadata.quantization.platform == "tensorrt"
    assert identity.precision_obtained == {"HALF": 81}


@pytest.mark.parametrize("graph", ["raw", "full"])
@pytest.mark.parametrize("mode", ["inline", "keep"])
def test_other_forms(small: tuple[str, ...], graph: str, mode: str) -> None:
    result = export(
        *small, "--output", "a.onnx", "--graph", graph, "--functions", mode, "--batch", "2", "--exclude", "proto_net"
    )
    assert result.exit_code == 0, result.output
    assert "INT8 for cpu: 76 of 81" in result.stdout and "without 1 exclusion)" in result.stdout
    with Detector.open("a.onnx") as detector:
        assert len(detector([np.zeros((50, 60, 3), np.uint8)])) == 1


def test_the_gate_measures_before_and_after(small: tuple[str, ...], scenes: Path) -> None:
    annotated = ("--verify", scenes / "annotations.json", "--verify-images", scenes / "images")
    result = export(*small, "--output", "a.onnx", *annotated, "--verify-limit", "5", "--max-ap-drop", "4")
    assert result.exit_code == 0, result.output
    assert (
        "mask AP on 5 images: " in result.stdout and " where a loss of 4 points is allowed; box AP: " in result.stdout
    )
    result = export("--weights", DEMO, "--output", "b.onnx", "--fp16", *annotated, "--max-ap-drop", "1")
    assert result.exit_code == 0 and "mask AP on 8 images: " in result.stdout
    unchanged = ("--verify-limit", "2", "--max-ap-drop", "0")  # what may be lost is what is lost
    result = export("--weights", DEMO, "--output", "c.onnx", *annotated, *unchanged)
    assert result.exit_code == 0 and "mask AP on 2 images: " in result.stdout, result.output


def test_the_gate_does_not_judge_by_a_reference_that_finds_nothing(scenes: Path, here: Path) -> None:
    """Annotations of other images; and a drop that no network could exceed."""
    content = json.loads((scenes / "annotations.json").read_text())
    for entry in content["annotations"]:
        entry |= {"bbox": [0, 0, 9, 9], "area": 81, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}
    (here / "other.json").write_text(json.dumps(content))
    export_demo = ("--weights", DEMO, "--output", "a.onnx", "--verify-images", scenes / "images", "--verify-limit", "4")
    for options, reason in (
        (("--verify", "other.json"), "expected more than 1; check that the annotations, their classes and the images"),
        (("--verify", scenes / "annotations.json", "--max-ap-drop", "100"), "expected more than 100; "),
    ):
        result = export(*export_demo, *options)
        assert result.exit_code == 1 and "so nothing can be judged by it" in result.stderr, result.output
        assert reason in result.stderr and not Path("a.onnx").exists()


def test_the_gate_pairs_classes_by_name(scenes: Path, here: Path) -> None:
    content = json.loads((scenes / "annotations.json").read_text())
    for entry in content["annotations"]:
        entry["category_id"] = 7 - entry["category_id"]
    for entry in content["categories"]:
        entry["id"] = 7 - entry["id"]
    (here / "other.json").write_text(json.dumps(content))
    result = export(
        *("--weights", DEMO, "--output", "a.onnx"),
        *("--verify", "other.json", "--verify-images", scenes / "images", "--verify-limit", "2"),
    )
    assert "6 classes paired by name, of which other.json numbers 6 otherwise than the model\n" in result.stdout
    found = re.search(r"mask AP on 2 images: (\d+\.\d\d) in fp32", result.stdout)
    assert found is not None and float(found[1]) > 40 and "but the model calls it" not in result.stderr


def test_the_gate_holds_back_what_lost_too_much(scenes: Path, cache: Path, here: Path) -> None:
    """Ranges of a thousandth of what they should be."""
    content = json.loads(cache.read_text()) if cache.is_file() else None
    data = ("--weights", DEMO, "--int8", "--calib-data", scenes / "images")
    if content is None:
        assert export(*data, "--calib-cache", cache, "--output", "first.onnx").exit_code == 0
        content = json.loads(cache.read_text())
    content["ranges"] = {name: [low / 1000, high / 1000] for name, (low, high) in content["ranges"].items()}
    Path("damaged.json").write_text(json.dumps(content))
    annotated = ("--verify", scenes / "annotations.json", "--verify-images", scenes / "images")
    result = export(*data, "--calib-cache", "damaged.json", "--output", "a.onnx", *annotated)
    assert result.exit_code == 3
    assert "by more than 0.5 points (--max-ap-drop); nothing was written" in result.stderr
    assert not Path("a.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (["--calib-data", "x"], 2, "--calib-data is for --int8"),
        (["--int8-modules", "head"], 2, "--int8-modules is for --int8"),
        (["--int8"], 2, "give --calib-data a folder"),
        (["--int8", "--calib-data", "none"], 2, "there is no such folder"),
        (["--int8", "--calib-data", "."], 2, "expected images"),
        (["--int8", "--calib-data", "{images}", "--int8-modules", "neck"], 2, "expected some of backbone, fpn"),
        (["--int8", "--calib-data", "{images}", "--exclude", "neck"], 2, "--exclude neck: no layer"),
        (["--int8", "--calib-data", "{images}", "--calib-limit", "0"], 2, "calib-limit"),
        (["--int8", "--calib-data", "{images}", "--calib-batch", "-1"], 2, "calib-batch"),
        (["--int8", "--calib-data", "{images}", "--calib-cache", "none/c"], 2, "there is no folder none"),
        (["--int8", "--calib-data", "{images}", "--calib-cache", "{images}"], 2, "is a directory"),
        (["--int8", "--calib-data", "{images}", "--fp16"], 2, "--fp16 is for TensorRT"),
        (
            ["--int8", "--calib-data", "{images}", "--int8-platform", "tensorrt", "--opset", "17"],
            2,
            "opset 19 or later",
        ),
        (["--verify", "{annotations}"], 2, "--verify and --verify-images go together"),
        (["--verify", "{annotations}", "--verify-images", "."], 1, "image"),
        (["--max-ap-drop", "0.1"], 2, "--max-ap-drop is for --verify"),
        (["--verify-limit", "3"], 2, "--verify-limit is for --verify"),
        (["--verify", "{annotations}", "--verify-images", "{images}", "--max-ap-drop", "nan"], 2, "got nan"),
        (["--int8", "--calib-data", "{images}", "--calib-cache", "a.onnx"], 2, "a.onnx is one of the inputs"),
        (["--verify", "none.json", "--verify-images", "."], 2, "none.json"),
    ],
)
def test_refusals(scenes: Path, here: Path, arguments: list[str], code: int, match: str) -> None:
    names = {"images": scenes / "images", "annotations": scenes / "annotations.json"}
    filled = [argument.format(**names) for argument in arguments]
    result = export("--weights", DEMO, "--output", "a.onnx", *filled)
    assert result.exit_code == code, result.output
    assert match in result.stderr and "Traceback" not in result.output
    assert not Path("a.onnx").exists()


def test_calibration_images_are_looked_at_before_the_network(here: Path) -> None:
    Path("photos").mkdir()
    for name, image in {"a.png": make_check_image(40, 50), "grey.png": np.full((40, 50, 3), 90, np.uint8)}.items():
        write_image(Path("photos", name), image)
    Path("photos", "._a.png").write_bytes(b"a note of macOS")
    arguments = ("--weights", "none.pth", "--int8", "--calib-data", "photos")
    told, *failed = export(*arguments).stderr.splitlines()
    grey = Path("photos", "grey.png")
    assert told == f"warning: 1 of 2 calibration images have one colour only and tell nothing: {grey}"
    assert len(failed) == 1 and "none.pth" in failed[0]
    Path("photos", "b.png").write_bytes(b"no image")
    result = export(*arguments)
    assert result.exit_code == 1 and result.stderr.startswith(f"error: {Path('photos', 'b.png')}: this is no image")


def test_a_plan_takes_no_int8_for_a_cpu(small: tuple[str, ...]) -> None:
    pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)
    result = export(*small, "--output", "a.plan", "--int8-platform", "cpu")
    assert result.exit_code == 2 and "--int8-platform cpu is for ONNX files" in result.stderr


def test_a_damaged_description_is_refused() -> None:
    good = Quantization("cpu", ("backbone",), (), "minmax", 3, "abc")
    for text in ("{}", "[]", '"x"', "{"):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Quantization.from_json(text)
    assert Quantization.from_json(json.dumps(good.__dict__)) == good
