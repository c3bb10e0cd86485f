"""`--device openvino` in the commands: what they print is what they print on ONNX Runtime."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import missing
import pytest
from click.testing import CliRunner, Result
from scripted_dataset import DATA, scripted_dataset, write_images
from scripted_engine import write_photo

from yolact.cli import bench, diff, doctor, infer
from yolact.cli import eval as evaluation
from yolact.runtime.openvino import library

ON_OPENVINO = ("--device", "openvino")


def run(command: Any, *arguments: str | Path) -> Result:
    """A command in this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(command, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_infer(engine: Path, here: Path) -> None:
    photo = write_photo(here / "photo.png")
    for name, options in (("ours", ON_OPENVINO), ("theirs", ()), ("auto", (*ON_OPENVINO, "--precision", "auto"))):
        result = run(infer.main, "--engine", engine, photo, "--json", f"{name}.json", *options)
        assert result.exit_code == 0, result.output
    assert Path("ours.json").read_bytes() == Path("theirs.json").read_bytes() == Path("auto.json").read_bytes()
    assert json.loads(Path("ours.json").read_text())[0]["detections"]


def test_doctor(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(doctor.main, "--engine", engine, *ON_OPENVINO)
    assert re.search(r"^ok  OpenVINO +20\S+ with .*CPU \(.+\)$", found.stdout, re.MULTILINE)
    assert found.exit_code == 0 and "ok  verdict" in found.stdout
    lacking = run(doctor.main, "--engine", engine, "--device", "openvino:XPU")
    assert lacking.exit_code == 4
    assert re.search(r"^--  verdict +OpenVINO \S+ has no device XPU here, only", lacking.stdout, re.MULTILINE)
    monkeypatch.setattr(library, "OLDEST", (3000, 1))
    library.load_openvino.cache_clear()
    assert re.search(
        r"^--  OpenVINO +--device openvino needs OpenVINO 3000.1 or", run(doctor.main).stdout, re.MULTILINE
    )
    library.load_openvino.cache_clear()


def test_bench(engine: Path, here: Path) -> None:
    options = ("--duration", "0.02", "--batch", "2", "--json", "b.json")
    result = run(bench.main, "--engine", engine, *options, *ON_OPENVINO)
    assert result.exit_code == 0, result.output
    values = json.loads(Path("b.json").read_text())
    assert (values["engine"]["software"], values["engine"]["device"]) == (library.software(), "openvino")
    assert values["machine"]["gpu"] is None and values["batches"][0]["mean_detections"] == 4


def test_eval(engine: Path, here: Path) -> None:
    pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)
    content = scripted_dataset()
    write_images(content, here / "images")
    (here / "annotations.json").write_text(json.dumps(content))
    ours, theirs = (run(evaluation.main, "--engine", engine, *DATA, *options) for options in (ON_OPENVINO, ()))
    assert ours.exit_code == 0, ours.output
    tables = [result.stdout.splitlines()[:12] for result in (ours, theirs)]  # below them are times
    assert tables[0] == tables[1] and any(line.startswith("mask ") for line in tables[0])


def test_diff(tmp_path: Path) -> None:
    """A file on OpenVINO beside the checkpoint that it is of, which runs in PyTorch on the CPU."""
    pytest.importorskip("polygraphy", reason=missing.POLYGRAPHY)
    import torch
    from diff_networks import CONFIG, export, network

    torch.save(network().state_dict(), tmp_path / "small.pth")
    (tmp_path / "small.json").write_text(json.dumps(CONFIG.to_json()))
    sides = ("--engine", export(tmp_path / "small.onnx"), "--reference", tmp_path / "small.pth")
    result = run(diff.main, *sides, *ON_OPENVINO, "--layers")
    assert result.exit_code == 0, result.output
    assert "no OpenVINO" in result.stdout
    relative = [float(line.split()[3]) for line in result.stdout.splitlines() if line.startswith("prototypes ")]
    assert relative and 0 < relative[0] < 1e-5
    assert re.search(r"^first suspect: none; no layer of [1-9]\d* adds", result.stdout, re.MULTILINE)
