"""What a run of `yolact-train` tells: lines, files and page; resumed without options, extended, given up, finished."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import cv2
import pytest
import torch
from click.testing import CliRunner, Result

from yolact.cli.train import main
from yolact.training import validation
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.scenes.files import SceneRequest, write_scenes
from yolact.training.settings import TrainSettings, schedule

OPTIONS = [
    *("--config", "yolact_demo", "--imgsz", "64", "--data", "data/annotations.json,data/images", "--batch-size", "2"),
    *("--val", "data/annotations.json,data/images", "--save-every", "2", "--warmup", "2", "--lr", "0.004"),
    *("--device", "cpu", "--workers", "0", "--iterations", "4"),
]


def train(*arguments: str | Path) -> Result:
    """In this process, on one thread; nothing but an exit may come out of it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = CliRunner().invoke(main, [*map(str, arguments)])
    torch.set_num_threads(threads)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder with data, and `run`, a run on it to its end, with what it printed."""
    folder = tmp_path_factory.mktemp("story")
    write_scenes(SceneRequest(folder / "data", 3, 5, size=(80, 100)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = train(*OPTIONS, "--output", "run")
    assert result.exit_code == 0, result.output
    return folder, result


@pytest.fixture
def copy(finished: tuple[Path, Result], here: Path) -> Path:
    """A copy of both, in another working directory."""
    shutil.copytree(finished[0], here, dirs_exist_ok=True)
    return here


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def reached(folder: Path) -> int:
    return int(torch.load(folder / "state.pth", weights_only=True)["iteration"])


def assert_whole(folder: Path) -> None:
    """Every file can be read, and nothing half-written is left."""
    assert not list(folder.rglob(".partial*"))
    assert cv2.imread(str(folder / "curves.png")).shape == (1000, 1000, 3)
    assert [int(row["iteration"]) for row in rows(folder)] == list(range(1, reached(folder) + 1))
    json.loads((folder / "run.json").read_text())
    for path in (folder / "validation").iterdir():
        assert cv2.imread(str(path)) is not None


def test_what_is_printed(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    content = json.loads((folder / "data" / "annotations.json").read_text())
    whole = [one for one in content["annotations"] if not one["iscrowd"]]
    lines = result.stdout.splitlines()
    opening = {line.split("  ")[0]: line for line in lines[:10]}
    assert f"3 images with {len(whole)} instances" in opening["data"]
    counts = dict(re.findall(r"(\w+) (\d+)", opening["classes"].split(": ")[1]))
    names = {one["id"]: one["name"] for one in content["categories"]}
    assert counts == {name: str(sum(names[a["category_id"]] == name for a in whole)) for name in counts}
    assert "every 2 iterations" in opening["validation"] and "1,771,815 parameters" in opening["network"]
    assert "4 iterations (2.67 epochs); learning rate 0.004" in opening["schedule"] and "run" in opening["results"]
    assert [line.split(" | ")[0] for line in lines if "| total " in line] == ["1", "2", "3", "4"]
    assert sum("validation: box AP" in line for line in lines) == 2
    assert lines[-1] == "next: yolact-export --weights run/best.pth --output run/yolact.onnx"
    assert re.search(r"^a step takes .* s; 1 more take about \d+ s$", result.stderr, re.MULTILINE)


def test_the_files_agree_with_each_other_and_with_what_was_printed(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    run = folder / "run"
    assert_whole(run)
    table = rows(run)
    for line, row in zip((one for one in result.stdout.splitlines() if "| total " in one), table, strict=True):
        told = dict(part.split(" ") for part in line.split(" | ")[1:-1])
        assert {name: float(told[name]) for name in ("box", "mask", "total")} == {
            name: pytest.approx(float(row[name]), abs=6e-4) for name in ("box", "mask", "total")
        }
    assert [bool(row["mask_AP"]) for row in table] == [False, True, False, True]
    assert {path.name for path in (run / "validation").iterdir()} == {
        f"00000{i}_{n}.jpg" for i in (2, 4) for n in range(3)
    }
    validations = {i: mask for i, _, mask in json.loads((run / "run.json").read_text())["validations"]}
    best = min(validations, key=lambda iteration: (-validations[iteration], iteration))
    weights = load_checkpoint(run / "best.pth").state_dict()
    (named,) = run.glob(f"yolact_demo_*_{best}.pth")
    for name, tensor in load_checkpoint(named).state_dict().items():
        assert torch.equal(weights[name], tensor), name
    page = (run / "README.md").read_text()
    assert f"at iteration {best}" in page and "It ended at iteration 4 of 4" in page
    assert f"$ yolact-train {' '.join(OPTIONS[:2])}" in page and "sha256 of data/annotations.json" in page


def test_a_finished_run_says_so_without_its_data(copy: Path) -> None:
    shutil.rmtree(copy / "data")
    (copy / "run" / "README.md").unlink()
    result = train("--resume", "--output", "run")
    assert result.exit_code == 0, result.output
    assert "run is finished: it has all 4 iterations. Best mask AP: " in result.stdout
    assert "next: yolact-export --weights run/best.pth" in result.stdout and "--iterations 8" in result.stdout
    assert "It ended at iteration 4 of 4" in (copy / "run" / "README.md").read_text()


def test_extended_from_elsewhere_with_broken_files(
    finished: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other option is needed, nor the folder that relative paths began in; what only tells of the run is mended."""
    run = tmp_path / "run"
    shutil.copytree(finished[0] / "run", run)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    table = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(table[: table.index(b"\n3,") + 4])
    (run / "README.md").write_text("notes of my own")
    (run / "curves.png").unlink()
    (run / "curves.png").mkdir()
    result = train("--resume", "--output", run, "--iterations", "5")
    assert result.exit_code == 0, result.output
    assert "goes on from iteration 4, extended from 4 to 5; the learning rate falls at 1, 3, 4, 4" in result.stdout
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ") and "below 6" not in line]
    assert len(warnings) == 3, warnings
    assert "it is metrics_1.csv now, and its first 2 rows are kept" in warnings[0]
    assert "curves.png: it exists and is no regular file" in warnings[1] and "training goes on" in warnings[1]
    assert "README.md is not of yolact-train and stays as it is" in warnings[2]
    assert (run / "README.md").read_text() == "notes of my own"
    assert [row["iteration"] for row in rows(run)] == ["1", "2", "5"] and reached(run) == 5
    _, steps = schedule(load_checkpoint(run / "best.pth").config, 2, 5)
    expected = TrainSettings(5, steps, 2, 0.004, warmup=2).learning_rate_at(4)
    assert float(rows(run)[-1]["learning_rate"]) == pytest.approx(expected)
    again = train("--resume", "--output", run)
    assert "it has all 5 iterations" in again.stdout


def test_a_validation_that_was_interrupted_is_made_again(
    finished: tuple[Path, Result], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copy / "run")
    with monkeypatch.context() as patch:
        patch.setattr(validation, "evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        stopped = train(*OPTIONS, "--output", "run", "--save-every", "4")
    assert (stopped.exit_code, stopped.stderr.splitlines()[-1]) == (130, "interrupted")
    assert not (copy / "run" / "best.pth").exists() and reached(copy / "run") == 4
    assert len(rows(copy / "run")) == 4
    resumed = train("--resume", "--output", "run")
    assert resumed.exit_code == 0 and "| total " not in resumed.stdout
    assert_whole(copy / "run")
    assert rows(copy / "run")[-1]["mask_AP"] == rows(finished[0] / "run")[-1]["mask_AP"]
    assert load_checkpoint(copy / "run" / "best.pth").config.name == "yolact_demo"


def test_patience(copy: Path) -> None:
    """Steps of next to nothing change no detection, so the first validation stays the best."""
    shutil.rmtree(copy / "run")
    words = [*OPTIONS, "--output", "run", "--save-every", "1", "--iterations", "9", "--patience", "1", "--lr", "1e-12"]
    result = train(*words)
    assert result.exit_code == 0 and "finished: mask AP has not become better in 1 validation," in result.stdout
    assert reached(copy / "run") == 2 and "ends after 1 without a better mask AP" in result.stdout
    again = train("--resume", "--output", "run")
    assert again.exit_code == 0 and "run is finished: mask AP has not become better" in again.stdout
    assert again.stdout.endswith("next: yolact-train --resume --output run --patience 2\n")
    assert reached(copy / "run") == 2
    assert train("--resume", "--output", "run", "--patience", "2").exit_code == 0
    assert reached(copy / "run") == 3, "the count went on where it was"


def test_a_run_whose_record_is_lost(copy: Path) -> None:
    (copy / "run" / "run.json").write_bytes(b'{"version": 1')
    result = train("--resume", "--output", "run")
    assert result.exit_code == 1 and "run.json is damaged" in result.stderr
    assert "repeat the options of the run beside --resume" in result.stderr
    result = train(*OPTIONS, "--resume", "--output", "run", "--iterations", "5")
    assert result.exit_code == 0, result.output
    assert "run.json is damaged" in result.stderr and "it begins anew" in result.stderr
    assert train("--resume", "--output", "run").exit_code == 0


REFUSED = {
    "no run": (
        1,
        ["--resume", "--output", "none"],
        "there is no none/state.pth to resume from; start without --resume",
    ),
    "nothing given": (2, ["--output", "none"], "Missing option '--config'"),
    "other data": (2, ["--resume", "--output", "run", "--data", "scenes:3"], "data scenes:3 instead of data/annot"),
    "other batch": (2, ["--resume", "--output", "run", "--batch-size", "4"], "batch_size 4 instead of 2"),
    "fewer iterations": (2, ["--resume", "--output", "run", "--iterations", "3"], "iterations 3 instead of 4"),
    "patience of none": (2, [*OPTIONS, "--output", "new", "--patience", "0"], "0 is not in the range"),
    "patience without data": (2, [*OPTIONS[:6], "--output", "new", "--patience", "1"], "--patience needs --val"),
    "data in its own folder": (
        2,
        [*OPTIONS, "--data", "data/annotations.json,new/validation", "--output", "new"],
        "--output new would write pictures into new/validation",
    ),
}


@pytest.mark.parametrize(("code", "words", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(copy: Path, code: int, words: list[str], message: str) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    result = train(*words)
    assert (result.exit_code, result.stdout) == (code, "") and message in result.stderr
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
