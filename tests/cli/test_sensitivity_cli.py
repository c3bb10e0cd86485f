"""`yolact-sensitivity` as its users run it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest
from click.testing import CliRunner, Result
from sensitive_network import LIMITS, SMALL, make_sensitive

from yolact.calib.quantization_points import MODULES, find_quantization_points
from yolact.cli.sensitivity import main
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.image_files import read_image, write_image
from yolact.training.evaluation import onnx_accuracy
from yolact.training.scenes.files import ANNOTATION_FILE, IMAGE_FOLDER, SceneRequest, write_scenes


def run(*arguments: object) -> Result:
    """Run the command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def files(
    photos: list[Image], export_seeded: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Networks that can be quantised and that cannot, calibration images, and scenes that are annotated."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "calib").mkdir()
    for index, photo in enumerate(photos):
        write_image(folder / "calib" / f"{index}.png", photo)
    small = export_seeded(SMALL, folder / "small.onnx", LIMITS)
    onnx.save(make_sensitive(onnx.load(small)), folder / "sensitive.onnx")
    export_seeded(SMALL, folder / "half.onnx", LIMITS, precision="fp16")
    export_seeded(SMALL, folder / "four.onnx", LIMITS, batch=4)
    export_seeded(SMALL, folder / "raw.onnx", LIMITS, graph="raw")
    export_seeded(SMALL, folder / "inline.onnx", LIMITS, inline_functions=True)
    stripped = onnx.load(small)
    del stripped.functions[:]
    onnx.save(stripped, folder / "stripped.onnx")
    rounded = onnx.load(small)
    rounded.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["a", "b"], ["c"]))
    onnx.save(rounded, folder / "int8.onnx")
    (folder / "weights.pth").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    write_scenes(SceneRequest(folder / "scenes", 3, seed=2, size=(96, 128)))
    return {path.name: path for path in folder.iterdir()} | {"calib": folder / "calib"}


def ranked(output: str) -> list[tuple[str, int, float]]:
    """Rows of the table."""
    rows = re.findall(r"^(\S+) +(\d+) +(-?[\d.]+)(?:  not in --int8-modules)?$", output, re.MULTILINE)
    return [(name, int(convolutions), float(cost)) for name, convolutions, cost in rows]


def convolutions(files: dict[str, Path], module: str) -> int:
    """In INT8, of a part of the network."""
    return len(find_quantization_points(onnx.load(files["small.onnx"]), [module], (), "tensorrt").convolutions)


def proposed(output: str) -> list[str]:
    """The options of the export at the end."""
    words = shlex.split(output.splitlines()[-1])
    assert words[:4] == ["yolact-export", "--weights", "CHECKPOINT.pth", "--int8"]
    return words[4:]


@pytest.mark.parametrize("name", ["small", "raw", "inline"])
def test_modules_by_the_distance_of_heads(files: dict[str, Path], here: Path, name: str) -> None:
    result = run("--engine", files[f"{name}.onnx"], "--calib-data", files["calib"])
    assert result.exit_code == 0 and result.stderr == ""
    first, second, *_, last = result.stdout.splitlines()
    assert first == "small, INT8 for tensorrt, each module alone: relative RMS change of the heads, the worst of four"
    assert second == "on 3 calibration images; calibrated on 3 images"
    assert last == "give --max-distance to learn which modules to exclude"
    rows = ranked(result.stdout)
    assert {row[:2] for row in rows} == {(module, convolutions(files, module)) for module in MODULES}
    costs = [cost for *_, cost in rows]
    assert costs == sorted(costs, reverse=True) and 0 < costs[-1] < costs[0] < 2
    assert result.stdout.count("not in --int8-modules") == 2 and not list(here.iterdir())


def test_the_sensitive_layer_is_proposed_and_drawn(files: dict[str, Path], here: Path) -> None:
    arguments = ["--engine", files["sensitive.onnx"], "--calib-data", files["calib"], "--int8-modules", "protonet"]
    arguments += ["--by", "layers", "--max-distance", "0.1", "--calib-cache", "cache.json", "--limit", "2"]
    done = run(*arguments, "--chart", "chart.svg", "--json", "found.json")
    assert done.exit_code == 0, done.stderr
    rows = ranked(done.stdout)
    assert rows[0][0] == "proto_net.2" and rows[0][2] > 5 * rows[1][2] and len(rows) == 5
    options = ["--int8-platform", "tensorrt", "--int8-modules", "protonet", "--calib-data", str(files["calib"])]
    assert proposed(done.stdout) == [*options, "--calib-cache", "cache.json", "--exclude", "proto_net.2"]
    assert "\ncost of all but 1 layer of 5 in INT8: 0." in done.stdout and "\non 2 calibration images" in done.stdout
    found = json.loads((here / "found.json").read_text())
    assert [(one["name"], one["convolutions"]) for one in found["ranking"]] == [row[:2] for row in rows]
    assert [one["cost"] for one in found["ranking"]] == pytest.approx([row[2] for row in rows], abs=6e-5)
    assert found["proposal"]["exclude"] == ["proto_net.2"] and found["proposal"]["met"]
    assert found["proposal"]["cost"] <= found["proposal"]["limit"] == 0.1 < found["proposal"]["cost_of_all"]
    texts = [one.text for one in ElementTree.parse(here / "chart.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert {"to exclude", "stays in INT8", *(row[0] for row in rows)} <= set(texts)
    again = run(*arguments, "--chart", "chart.png")  # from the cache
    assert again.stdout == done.stdout
    assert read_image(here / "chart.png").shape[1] == 1920


def test_the_proposal_keeps_what_it_promises(files: dict[str, Path], here: Path) -> None:
    """What is proposed, given as --exclude, leaves a cost within the limit and nothing more to exclude."""
    base = ["--engine", files["sensitive.onnx"], "--calib-data", files["calib"], "--by", "layers"]
    base += ["--max-distance", 0.1]
    done = run(*base, "--int8-modules", "protonet", "--int8-platform", "cpu", "--calib-algorithm", "minmax")
    options = proposed(done.stdout)
    assert options[:4] == ["--int8-platform", "cpu", "--int8-modules", "protonet"] and "--exclude" in options
    again = run(*base, *options)
    assert again.exit_code == 0 and proposed(again.stdout) == options
    assert len(ranked(again.stdout)) == 4 and "proto_net.2 " not in again.stdout
    cost = re.search(r"^cost of all but 1 layer of 5 in INT8: (.+)$", done.stdout, re.MULTILINE)
    assert cost is not None and f"cost of all of protonet in INT8: {cost[1]}\n" in again.stdout


def annotated(files: dict[str, Path]) -> list[object]:
    scenes = files["scenes"]
    return ["--annotations", scenes / ANNOTATION_FILE, "--images", scenes / IMAGE_FOLDER]


def test_modules_by_mask_ap(files: dict[str, Path], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With made-up evaluations: the network is random. Temporary files are gone."""
    (here / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(here / "tmp"))
    values = iter([0.42, 0.41, 0.40, 0.4205, 0.419, 0.39, 0.418])  # fp32, four modules, both, without one
    evaluate = onnx_accuracy.evaluate

    def told(*arguments: object, **options: object) -> object:
        found = evaluate(*arguments, **options)  # type: ignore[arg-type]
        object.__setattr__(found.scores.mask, "ap", next(values))
        return found

    monkeypatch.setattr(onnx_accuracy, "evaluate", told)
    result = run("--engine", files["small.onnx"], "--calib-data", files["calib"], *annotated(files), "--limit", 2)
    assert result.exit_code == 0, result.stderr
    assert ranked(result.stdout) == [
        ("fpn", 8, 2.0),
        ("backbone", convolutions(files, "backbone"), 1.0),
        ("head", 20, 0.1),
        ("protonet", 5, -0.05),
    ]
    assert (
        "points of mask AP lost\non 2 images of annotations.json, where fp32 has a mask AP of 42.00; " in result.stdout
    )
    assert (
        "cost of all of backbone, protonet in INT8: 3.00\ncost of all but 1 module of 2 in INT8: 0.20\n"
        "this is within --max-ap-drop 0.5;" in result.stdout
    )
    options = proposed(result.stdout)
    assert options[options.index("--int8-modules") + 1] == "protonet" and "--exclude" not in options
    assert next(values, None) is None and not list((here / "tmp").iterdir())


def test_no_list_is_short_enough(files: dict[str, Path], here: Path) -> None:
    arguments = ["--engine", files["small.onnx"], "--calib-data", files["calib"]]
    result = run(*arguments, "--max-distance", 0, "--json", "a.json")
    assert result.exit_code == 3 and "yolact-export" not in result.stdout and len(ranked(result.stdout)) == 4
    assert result.stderr.startswith("error: only excluding everything would keep the cost within ")
    assert "leaves out 1 of 2 modules" in result.stderr and "rank --by layers" in result.stderr
    assert json.loads((here / "a.json").read_text())["proposal"]["met"] is False


REJECTED: dict[str, tuple[list[str], int, str]] = {
    "no calibration images": (["--calib-data", "empty"], 2, "found none there"),
    "no calibration folder": (["--calib-data", "nowhere"], 2, "there is no such folder"),
    "calibration image": (["--calib-data", "damaged"], 1, "damaged/a.png"),
    "half precision": (["--engine", "half.onnx"], 4, "in fp32, got fp16; export it again without --fp16"),
    "INT8": (["--engine", "int8.onnx"], 4, "is in INT8 already"),
    "batch": (["--engine", "four.onnx"], 4, "got one for 4; export it again without --batch"),
    "stripped": (["--engine", "stripped.onnx"], 4, "export it again with --functions keep"),
    "no checkpoint": (["--engine", "weights.pth"], 1, "weights.pth is not a PyTorch checkpoint"),
    "no file": (["--engine", "nowhere.onnx"], 2, "nowhere.onnx"),
    "by what": (["--by", "tensors"], 2, "'tensors' is not one of 'modules', 'layers'"),
    "module": (["--int8-modules", "backbone,neck"], 2, "expected some of backbone, fpn, protonet, head"),
    "layer": (["--exclude", "backbone.layer"], 2, "no layer has this name"),
    "everything excluded": (["--exclude", "backbone", "--exclude", "proto_net"], 2, "nothing is left to quantise"),
    "negative limit": (["--max-distance", "-1"], 2, "expected a number of 0 or more, got -1.0"),
    "no number": (["--max-distance", "nan"], 2, "expected a number of 0 or more, got nan"),
    "drop without annotations": (["--max-ap-drop", "1"], 2, "--max-ap-drop needs --annotations"),
    "images without annotations": (["--images", "empty"], 2, "--images needs --annotations"),
    "annotations without images": (["--annotations", "empty.json"], 2, "give it with --images"),
    "annotations": (["--annotations", "empty.json", "--images", "empty"], 1, "empty.json"),
    "distance of annotated": (
        ["--annotations", "a", "--images", "empty", "--max-distance", "1"],
        2,
        "--max-distance is for measuring without --annotations",
    ),
    "no compared image": (["--limit", "0"], 2, "0 is not in the range x>=1"),
    "chart of a kind": (["--chart", "chart.jpg"], 2, "--chart chart.jpg: expected a name that ends in .png or .svg"),
    "chart nowhere": (["--chart", "nowhere/a.png"], 2, "there is no folder nowhere"),
    "chart on an input": (["--chart", "images/0.png", "--calib-data", "images"], 2, "is one of the inputs"),
    "json on stdout": (["--json", "-"], 2, "stdout is for what the command reports"),
    "one file for both": (["--json", "a.png", "--chart", "a.png"], 2, "is one of the inputs"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_requests(files: dict[str, Path], here: Path, name: str, photos: list[Image]) -> None:
    arguments, code, message = REJECTED[name]
    for folder in ("empty", "damaged", "images"):
        (here / folder).mkdir()
    (here / "damaged" / "a.png").write_bytes(b"no picture")
    (here / "empty.json").write_text("{}")
    write_image(here / "images" / "0.png", photos[0])
    arguments = [str(files.get(word, word)) for word in arguments]
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    defaults = {"--engine": files["small.onnx"], "--calib-data": files["calib"]}
    given = [word for option, path in defaults.items() if option not in arguments for word in (option, path)]
    result = run(*given, *arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split()) and result.stdout == ""
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_calibration_images_are_needed(files: dict[str, Path]) -> None:
    result = run("--engine", files["small.onnx"])
    assert result.exit_code == 2 and "give --calib-data" in result.stderr


INTERRUPTED = """
import os
from yolact.calib.sensitivity import analysis, costs
from yolact.calib.quantization_points import MODULES, find_quantization_points
from yolact.cli.sensitivity import main

class Interrupting(costs.HeadDistance):
    calls = 0

    def __call__(self, proto):
        self.calls += 1
        if self.calls == 2:
            os.kill(os.getpid(), NUMBER)
        return super().__call__(proto)

analysis.HeadDistance = Interrupting
main()
"""


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_signals_leave_the_old_files(files: dict[str, Path], here: Path, number: int, code: int, word: str) -> None:
    for name in ("chart.png", "found.json"):
        (here / name).write_bytes(b"what was here before")
    arguments = ["--engine", files["small.onnx"], "--calib-data", files["calib"], "--chart", "chart.png"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.replace("NUMBER", str(number)), *arguments, "--json", "found.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (code, f"{word}\n", "")
    assert {path.name: path.read_bytes() for path in here.iterdir()} == dict.fromkeys(
        ("chart.png", "found.json"), b"what was here before"
    )


def test_a_full_disk_leaves_neither_file(files: dict[str, Path], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the second of the two files is written."""
    write, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    arguments = ["--engine", files["small.onnx"], "--calib-data", files["calib"], "--int8-modules", "protonet"]
    result = run(*arguments, "--chart", "chart.png", "--json", "found.json")
    monkeypatch.undo()
    assert result.exit_code == 1 and "No space left on device" in result.stderr
    assert len(written) == 2 and not list(here.iterdir())


def test_help_starts_without_what_it_does_not_need() -> None:
    program = "import sys, yolact.cli.sensitivity; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"'torch'", "'onnx'", "'onnxruntime'", "'cv2'"} & set(re.findall(r"'[^']+'", loaded))
    assert "--max-ap-drop" in run("--help").stdout
    assert "[default: 0.5]" in run("--help").stdout
