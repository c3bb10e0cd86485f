"""`yolact-eval` as its users run it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import missing
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from repository import ROOT
from scripted_dataset import DATA, cells, scripted_dataset, write_images
from scripted_engine import write_engine

from yolact.cli.eval import main
from yolact.runtime.config import MAX_KEPT, PostprocessConfig
from yolact.runtime.detector import Detector
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.evaluation.evaluate import evaluate
from yolact.training.evaluation.scores import score_results
from yolact.training.models.configs import CONFIGS
from yolact.training.models.seeded_weights import seeded_state_dict

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)


@pytest.fixture
def data(here: Path) -> dict[str, Any]:
    """Working directory with images/ and annotations.json, whose content this is."""
    content = scripted_dataset()
    write_images(content, here / "images")
    (here / "annotations.json").write_text(json.dumps(content))
    return content


def run(*arguments: str | Path) -> Result:
    """The command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_report(engine: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", itertools.count(0, 0.01).__next__)  # 10 ms between any two looks
    result = run("--engine", engine, *DATA)
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "scripted, fp32, 64x64, on annotations.json: 3 images, 5 objects"
    assert lines[1] == "scores above 0.05, fast NMS at IoU 0.5, 4 detections an image at most"
    assert lines[2] == "4 classes paired by name"
    assert cells(lines[4]) == ["AP", "AP50", "AP75", "S", "M", "L", "AR100"]
    # Persons are found with 0.9 and 0.8 in the first image and, wrongly, in the third: right, wrong, right, wrong. So
    # precision is 1 for 51 of 101 recalls, then 2/3. Of two dogs one is found, with IoU 0.8, enough for 7 of 10
    # thresholds. The Bus is not. Only one person has more than 32x32 pixels.
    person, dog = (51 + 50 * 2 / 3) / 101, 51 / 101
    box = [f"{100 * value / 3:.2f}" for value in (person + 0.7 * dog, person + dog, person + dog)]
    small, recall = (f"{100 * (1 + part) / 3:.2f}" for part in (0.7 * dog, 0.35))
    assert cells(lines[5]) == ["box", *box, small, "100.00", "-", recall]
    assert cells(lines[6])[0] == "mask" and cells(lines[6])[2] == box[1]
    assert cells(lines[8]) == ["class", "objects", "box AP mask AP"]
    assert [cells(line)[:3] for line in lines[9:12]] == [
        ["person", "2", f"{100 * person:.2f}"],
        ["dog", "2", f"{70 * dog:.2f}"],
        ["Bus", "1", "0.00"],
    ]
    assert lines[12] == "and 1 class without objects"
    assert lines[14:] == [
        "median of an image: 10.0 ms to detections (resizing, network, post-processing), 10.0 ms to masks",
        "50.0 images/s with both, without reading files and scoring",
    ]


def test_a_limit(engine: Path, data: dict[str, Any]) -> None:
    result = run("--engine", engine, *DATA, "--limit", "1")
    lines = result.stdout.splitlines()
    assert lines[0].endswith("1 image, 4 objects")
    assert cells(lines[9])[:3] == ["person", "2", "100.00"]


def test_the_json_holds_what_was_scored(engine: Path, data: dict[str, Any], here: Path) -> None:
    (here / "found.json").write_text("of an earlier run")
    result = run("--engine", engine, *DATA, "--json", "found.json")
    assert result.exit_code == 0
    rows = json.loads((here / "found.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(i, c) for i in (1, 3) for c in (1, 1, 2, 3)]
    assert {frozenset(row) for row in rows} == {frozenset({"image_id", "category_id", "bbox", "segmentation", "score"})}
    assert rows[5]["bbox"] == pytest.approx([20, 0, 20, 30])
    again = score_results(data, rows, rows, [1, 2, 3])
    lines = result.stdout.splitlines()
    for line, scores in ((lines[5], again.box), (lines[6], again.mask)):
        assert scores.ap is not None and scores.ap50 is not None
        assert cells(line)[1:3] == [f"{100 * scores.ap:.2f}", f"{100 * scores.ap50:.2f}"]
    assert sorted(path.name for path in here.iterdir()) == ["annotations.json", "found.json", "images"]


def test_mask_scores_are_the_scores_of_the_json(data: dict[str, Any], here: Path) -> None:
    engine = write_engine(here / "plus.onnx", mask_scores=[0.3, 0.75, 0.6, 0.05])
    assert run("--engine", engine, *DATA, "--json", "found.json").exit_code == 0
    rows = json.loads((here / "found.json").read_text())
    assert [row["score"] for row in rows[:4]] == pytest.approx([0.3, 0.75, 0.6, 0.05])


@pytest.mark.parametrize("name", ["yolact_demo_5_1000.pth", "best.pth"])
def test_a_checkpoint(data: dict[str, Any], here: Path, name: str) -> None:
    from yolact.training.models.checkpoints import load_checkpoint
    from yolact.training.models.torch_engine import TorchEngine

    config = CONFIGS["yolact_demo"]
    torch.save(seeded_state_dict(config, background_bias=2.0), here / name)
    named = [] if name.startswith("yolact") else ["--config", "yolact_demo"]
    result = run("--weights", name, *named, *DATA, "--json", "found.json")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "yolact_demo, fp32, 320x320, on annotations.json: 3 images, 5 objects"
    assert lines[1] == "scores above 0.05, fast NMS at IoU 0.5, 100 detections an image at most"
    model = load_checkpoint(here / name, config)
    truth = read_ground_truth(Path("annotations.json"), Path("images"))
    expected = evaluate(Detector(TorchEngine(model, PostprocessConfig())), truth)
    rows = json.loads((here / "found.json").read_text())
    assert rows == expected.server_results() and len(rows) > 10


def test_categories_with_other_ids_are_paired_by_name(engine: Path, data: dict[str, Any], here: Path) -> None:
    as_it_is = run("--engine", engine, *DATA).stdout.splitlines()
    for entry in data["categories"]:
        entry["id"] = 5 - entry["id"]
    for entry in data["annotations"]:
        entry["category_id"] = 5 - entry["category_id"]
    (here / "annotations.json").write_text(json.dumps(data))
    shuffled = run("--engine", engine, *DATA, "--json", "found.json")
    lines = shuffled.stdout.splitlines()
    assert lines[2] == "4 classes paired by name, of which annotations.json numbers 4 otherwise than the model"
    assert lines[3:7] == as_it_is[3:7] and shuffled.stderr == ""
    assert {row["category_id"] for row in json.loads((here / "found.json").read_text())} == {4, 3, 2}
    by_id = run("--engine", engine, *DATA, "--by-id")
    assert by_id.stdout.splitlines()[2] == "4 classes paired by id" and by_id.stdout.splitlines()[5] != lines[5]
    assert "annotations.json calls category 1 'Bus', but the model calls it 'person' (and 3 more)" in by_id.stderr


def test_more_detections_than_coco_counts(data: dict[str, Any], here: Path) -> None:
    answers = {
        "boxes": np.tile(np.array([(0.5, 0.5, 1.0, 1.0)], np.float32), (120, 1)),
        "scores": np.linspace(0.9, 0.2, 120, dtype=np.float32),
        "classes": np.ones(120, np.int32),
        "masks": np.zeros((120, 16, 16), np.float32),
    }
    answers["boxes"][-1] = (0, 0, 1, 1)
    engine = write_engine(here / "many.onnx", **answers)
    lines = run("--engine", engine, *DATA).stdout.splitlines()
    assert lines[1].endswith(", 120 detections an image at most")
    assert lines[4] == "AP with at most 120 detections an image; COCO counts 100 of a class"
    assert cells(lines[5])[-1] == "AR120"
    lines = run("--engine", engine, *DATA, "--max-detections", "100", "--json", "found.json").stdout.splitlines()
    assert lines[1].endswith(", 100 detections an image at most") and cells(lines[4])[-1] == "AR100"
    assert len(json.loads((here / "found.json").read_text())) == 200  # of two images, nothing is found in the third
    for number in ("121", "0"):
        result = run("--engine", engine, *DATA, "--max-detections", number)
        expected = f"expected 1 to 120, the most per image that {engine} has built in"
        assert result.exit_code == 2 and expected in result.stderr
    result = run("--engine", engine, *DATA, "--nms-top-k", "9")
    assert result.exit_code == 2 and f"{engine} has its NMS built in, with 200 candidates per class" in result.stderr


def test_limits_of_a_checkpoint(data: dict[str, Any], here: Path) -> None:
    weights = here / "yolact_demo_5_1000.pth"
    torch.save(seeded_state_dict(CONFIGS["yolact_demo"], background_bias=-2.0), weights)
    sizes = {}
    for options in (["--max-detections", "250"], ["--max-detections", "250", "--nms-top-k", "3"]):
        result = run("--weights", weights, *DATA, "--json", "found.json", *options)
        assert result.exit_code == 0 and "AR250" in result.stdout, result.stderr
        assert result.stdout.splitlines()[1].endswith(", 250 detections an image at most")
        found = Counter(row["image_id"] for row in json.loads((here / "found.json").read_text()))
        sizes[len(options)] = max(found.values())
    assert 100 < sizes[2] <= 250 and sizes[4] <= 3 * len(CONFIGS["yolact_demo"].class_names)
    for number in ("0", str(MAX_KEPT + 1)):
        result = run("--weights", weights, *DATA, "--max-detections", number)
        assert result.exit_code == 2 and "max_detections must be a whole number" in result.stderr


def test_an_engine_needs_no_pytorch(engine: Path, data: dict[str, Any]) -> None:
    program = "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\nfrom yolact.cli.eval import main; main()"
    command = [sys.executable, "-c", program, "--engine", str(engine), *DATA]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("scripted, fp32, 64x64")


def test_warnings_reach_the_terminal(engine: Path, data: dict[str, Any], here: Path) -> None:
    data["categories"][1]["name"] = "cat"
    (here / "annotations.json").write_text(json.dumps(data))
    command = [sys.executable, "-m", "yolact.cli.eval", "--engine", str(engine), *DATA]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr == (
        "warning: annotations.json calls category 2 'cat', but the model calls it 'dog': make sure that both mean "
        "the same classes\n"
    )


@pytest.mark.parametrize(
    ("module", "option", "reason"),
    [
        ("pycocotools", "--engine", "evaluating needs pycocotools; install it with: pip install -e '.[eval]'"),
        ("torch", "--weights", "a checkpoint needs torch; install it with: pip install -e '.[export]'"),
    ],
)
def test_missing_libraries(
    engine: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, module: str, option: str, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = run(option, engine, *DATA)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {reason} in {ROOT}\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "expected either --engine or --weights, got neither"),
        (["--engine", "ENGINE", "--weights", "w.pth"], "expected either --engine or --weights, got both"),
        (["--engine", "ENGINE", "--config", "yolact_base"], "--config belongs to --weights"),
        (["--engine", "gone.onnx"], "'gone.onnx' does not exist"),
        (["--weights", "w.pth", "--config", "yolact_big"], "no configuration is called 'yolact_big'"),
        (["--engine", "ENGINE", "--limit", "0"], "x>=1"),
        (["--engine", "ENGINE", "--device", "tpu"], "expected a device like cpu, cuda, cuda:1, tensorrt, openvino or"),
        (["--engine", "ENGINE", "--precision", "auto"], "--precision auto is for --device openvino, got no device;"),
        (["--engine", "ENGINE", "--device", "cuda:1"], "has no CUDAExecutionProvider for cuda:1"),
        (["--weights", "w.pth", "--device", "cuda:77"], "PyTorch cannot use it"),
        (["--weights", "w.pth", "--device", "tensorrt"], "is for ONNX files"),
        (["--weights", "w.pth", "--device", "openvino"], "--device openvino is for ONNX files; a checkpoint"),
        (["--weights", "w.pth", "--metadata", "a.onnx"], "--metadata belongs to --engine"),
        (["--engine", "ENGINE", "--metadata", "a.onnx"], "has its metadata inside"),
        (["--engine", "ENGINE", "--json", "-"], "expected the name of a file, got -"),
        (["--engine", "ENGINE", "--json", "images"], "is a directory"),
        (["--engine", "ENGINE", "--json", "/dev/null"], "is no regular file"),
        (["--engine", "ENGINE", "--json", "nowhere/found.json"], "there is no folder nowhere"),
        (["--engine", "ENGINE", "--json", "ENGINE"], "is one of the inputs"),
        (["--engine", "ENGINE", "--json", "annotations.json"], "is one of the inputs"),
        (["--engine", "ENGINE", "--json", "images/3.png"], "is one of the inputs"),
        (["--weights", "w.pth", "--json", "w.pth"], "is one of the inputs"),
    ],
)
def test_wrong_usage(engine: Path, data: dict[str, Any], here: Path, arguments: list[str], reason: str) -> None:
    (here / "w.pth").write_bytes(b"weights")
    files = {path: path.read_bytes() for path in (engine, *here.rglob("*.*")) if path.is_file()}
    result = run(*(engine if argument == "ENGINE" else argument for argument in arguments), *DATA)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in " ".join(result.stderr.split())
    assert {path: path.read_bytes() for path in (engine, *here.rglob("*.*")) if path.is_file()} == files


def shift_categories(content: dict[str, Any]) -> None:
    for entry in content["categories"]:
        entry["id"] += 50
    for entry in content["annotations"]:
        entry["category_id"] += 50
    content["categories"][0]["name"] = "human"


Edit = Callable[[dict[str, Any]], object]

BAD_ANNOTATIONS: dict[str, tuple[Edit | str, str]] = {
    "no JSON": ("{", "annotations.json is no JSON"),
    "a list": ("[]", "annotations.json holds a list"),
    "no categories": (lambda c: c.pop("categories"), "has no list of categories"),
    "unknown image": (lambda c: c["annotations"][2].update(image_id=9), "annotation 3 is on image 9"),
    "unknown category": (lambda c: c["annotations"][3].update(category_id=9), "annotation 4 has category 9"),
    "other categories": (shift_categories, "has the categories 51 (human), 52 (dog), 53 (traffic light), 54 (Bus)"),
    "another size": (
        lambda c: c["images"][2].update(width=44),
        "3.png has 40x60 pixels, but its annotations say 44x60",
    ),
    "missing image": (lambda c: c["images"][2].update(file_name="4.png"), "4.png is missing, though annotated"),
}


def fails(engine: Path, here: Path, reason: str) -> None:
    """One sentence, exit code 1, and an earlier result stays as it was, with no other file beside it."""
    (here / "found.json").write_text("of an earlier run")
    before = sorted(here.rglob("*"))
    result = run("--engine", engine, *DATA, "--json", "found.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert reason in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert (here / "found.json").read_text() == "of an earlier run"
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("name", BAD_ANNOTATIONS)
def test_bad_annotations(engine: Path, data: dict[str, Any], here: Path, name: str) -> None:
    edit, reason = BAD_ANNOTATIONS[name]
    if not isinstance(edit, str):
        edit(data)
        edit = json.dumps(data)
    (here / "annotations.json").write_text(edit)
    fails(engine, here, reason)


def test_a_damaged_image(engine: Path, data: dict[str, Any], here: Path) -> None:
    path = here / "images" / "3.png"
    path.write_bytes(path.read_bytes()[:300])
    fails(engine, here, "3.png: this PNG is truncated")


@pytest.mark.skipif(sys.platform == "win32", reason=missing.LINUX)
def test_a_full_disk(engine: Path, data: dict[str, Any], here: Path) -> None:
    import resource

    (here / "found.json").write_text("of an earlier run")
    before = sorted(here.rglob("*"))
    command = [sys.executable, "-B", "-m", "yolact.cli.eval", "--engine", str(engine), *DATA]
    result = subprocess.run(
        [*command, "--json", "found.json"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == ("error: cannot write found.json: File too large; free space or choose another place\n")
    assert (here / "found.json").read_text() == "of an earlier run"
    assert sorted(here.rglob("*")) == before


def test_no_annotation_file(engine: Path, data: dict[str, Any], here: Path) -> None:
    (here / "annotations.json").unlink()
    fails(engine, here, "cannot read annotations.json: No such file or directory")


def test_models_that_are_none(data: dict[str, Any], here: Path) -> None:
    (here / "text").write_text("no model")
    for option, code in (("--engine", 4), ("--weights", 1)):
        result = run(option, "text", *DATA, "--json", "found.json")
        assert result.exit_code == code and result.stderr.startswith("error: text ")
    assert not (here / "found.json").exists()


def test_help_says_what_the_exit_codes_mean() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "--annotations" in result.stdout and "130" in result.stdout
