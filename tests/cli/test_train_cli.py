"""`yolact-train` as users run it: to its end, interrupted, killed, resumed, on two processes, and misused."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from yolact.cli.train import main
from yolact.training import run_folder
from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS, SCENE_CLASSES
from yolact.training.models.initial_weights import initial_model
from yolact.training.run_folder import RunFolder
from yolact.training.scenes.files import SceneRequest, write_scenes

ITERATIONS = 12
OPTIONS = [
    *("--config", "yolact_demo", "--imgsz", "64", "--data", "scenes:11", "--batch-size", "2", "--save-every", "3"),
    *("--iterations", str(ITERATIONS), "--warmup", "2", "--lr", "0.004", "--device", "cpu", "--workers", "0"),
]
LAST = f"yolact_demo_2_{ITERATIONS}.pth"
Start = Callable[..., "subprocess.Popen[str]"]


def start(*arguments: str | Path, module: tuple[str, ...] = ("-m", "yolact.cli.train")) -> subprocess.Popen[str]:
    """A training in a process group of its own, on one thread, so that sums come in the same order everywhere."""
    return subprocess.Popen(
        [sys.executable, *module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def train(*arguments: str | Path) -> Result:
    """In this process; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def train_undisturbed(*arguments: str | Path) -> str:
    """In this process, on one thread as in those that `start` starts; returns what it printed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = train(*OPTIONS, *arguments)
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    return result.output


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for it and check its exit code; returns what it printed."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    assert "Traceback" not in err, err
    return out + err


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


def weights(folder: Path, name: str = LAST) -> dict[str, torch.Tensor]:
    return torch.load(folder / name, weights_only=True)


def assert_equal(folder: Path, other: Path) -> None:
    first, second = weights(folder), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed, with validation."""
    folder = tmp_path_factory.mktemp("whole")
    output = train_undisturbed("--val", "scenes:2:9", "--output", folder)
    assert f"saved {folder / LAST}" in output and "validation: box AP" in output
    assert f"{ITERATIONS} | box " in output and "images/s" in output
    return folder


def test_checkpoints_have_official_names_and_keys_and_know_their_classes(whole: Path) -> None:
    names = sorted(path.name for path in whole.glob("*.pth"))
    assert names == sorted(
        ["best.pth", "state.pth", *(f"yolact_demo_{(i - 1) * 2 // 11}_{i}.pth" for i in range(3, 13, 3))]
    )
    model = load_checkpoint(whole / LAST)
    assert model.config.class_names == SCENE_CLASSES and model.config.image_size == 64
    assert list(weights(whole)) == list(initial_model(CONFIGS["yolact_demo"], 0)[0].state_dict())


def test_what_tensorboard_shows(whole: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole)).Reload()
    tags = events.Tags()
    losses = {f"loss/{name}" for name in ("box", "mask", "confidence", "segmentation", "total")}
    assert losses | {"learning rate", "images per second", "validation/mask AP", "validation/box AP"} <= set(
        tags["scalars"]
    )
    assert [event.step for event in events.Scalars("loss/total")] == list(range(1, 13))
    assert [event.step for event in events.Scalars("validation/mask AP")] == list(range(3, 13, 3))
    assert {"predictions/0", "predictions/1", "prototypes"} <= set(tags["images"])


def test_stopped_killed_and_resumed(whole: Path, tmp_path: Path) -> None:
    """By signals to the whole process group, as a terminal or a batch system sends them; then one to a worker alone."""
    process = start(*OPTIONS, "--output", tmp_path, "--workers", "1")
    wait_for(tmp_path / "yolact_demo_0_3.pth", process)
    os.killpg(process.pid, signal.SIGTERM)
    assert f"stopped and saved; continue with: yolact-train --resume --output {tmp_path}" in finish(process, 143)
    (saved,) = tmp_path.glob("*_interrupt.pth")
    assert load_checkpoint(saved).config.name == "yolact_demo"

    process = start(*OPTIONS, "--output", tmp_path, "--resume", "--workers", "1")
    wait_for(tmp_path / "yolact_demo_0_6.pth", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    assert "a process that prepares images ended" in finish(process, 1)

    process = start(*OPTIONS, "--output", tmp_path, "--resume")
    wait_for(tmp_path / "yolact_demo_1_9.pth", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (tmp_path / ".partial-1-1.pth").write_bytes(b"half a checkpoint")
    assert not (tmp_path / LAST).exists()
    train_undisturbed("--output", tmp_path, "--resume")
    assert_equal(tmp_path, whole)
    table = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in table[1:]] == list(range(1, ITERATIONS + 1))
    assert not list(tmp_path.glob(".partial*")), "what a killed process left is cleared away"


def test_a_second_training_in_one_folder_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "PATIENCE", 0.0)
    with RunFolder(here / "run").locked() as may_write:
        assert may_write
        for more in ([], ["--resume"]):
            result = train(*OPTIONS, "--output", "run", *more)
            assert result.exit_code == 2
            assert result.stderr == (
                "error: another training writes into run; wait for it or choose another --output\n"
            )
    assert list((here / "run").iterdir()) == []
    (here / "run" / ".lock").touch()  # which a killed run leaves
    result = train(*OPTIONS, "--output", "run", "--resume")
    assert "there is no run/state.pth to resume from" in result.stderr
    assert list((here / "run").iterdir()) == []


def test_two_processes_are_one_with_their_batches_together(whole: Path, tmp_path: Path) -> None:
    launcher = (
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "yolact.cli.train",
    )
    few = ("--iterations", "3", "--lr-steps", "12")  # the first of those that one process took
    output = finish(start(*OPTIONS, *few, "--output", tmp_path, module=launcher))
    assert output.count(f"saved {tmp_path / 'yolact_demo_0_3.pth'}") == 1
    one, two = weights(whole, "yolact_demo_0_3.pth"), weights(tmp_path, "yolact_demo_0_3.pth")
    start_weights = initial_model(CONFIGS["yolact_demo"], 0)[0].state_dict()
    moved = 0
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=2e-6, msg=name)
        moved += not torch.allclose(tensor, start_weights[name], rtol=1e-3, atol=2e-6)
    assert moved > 20, "the comparison must be about what was learnt"


def test_fine_tuning_for_other_classes(whole: Path, tmp_path: Path) -> None:
    """Custom categories from the file, everything else from the checkpoint."""
    write_scenes(SceneRequest(tmp_path, 6, 5, size=(80, 100)))
    content = json.loads((tmp_path / "annotations.json").read_text())
    content["categories"] = [{"id": 40, "name": "round"}, {"id": 7, "name": "edged"}]
    for annotation in content["annotations"]:
        annotation["category_id"] = 40 if annotation["category_id"] <= 2 else 7
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    data = f"{tmp_path / 'annotations.json'},{tmp_path / 'images'}"
    arguments = [*OPTIONS, "--data", data, "--weights", whole / LAST, "--iterations", "1", "--output", tmp_path / "run"]
    result = train(*arguments, "--lr", "1e-9", "--warmup", "0")
    assert result.exit_code == 0, result.output
    assert "has nothing for these classes in prediction_layers.0.conf_layer.weight" in result.output
    (checkpoint,) = (tmp_path / "run").glob("yolact_demo_*.pth")
    config = load_checkpoint(checkpoint).config
    assert (config.class_names, config.category_ids) == (("edged", "round"), (7, 40))
    tuned, before = weights(tmp_path / "run", checkpoint.name), weights(whole)
    torch.testing.assert_close(tuned["proto_net.0.weight"], before["proto_net.0.weight"])


def test_a_full_disk_is_reported_and_earlier_files_stay(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "state.pth").write_bytes((whole / "state.pth").read_bytes())
    state = torch.load(tmp_path / "state.pth", weights_only=True)
    torch.save({**state, "iteration": 10}, tmp_path / "state.pth")
    before = (tmp_path / "state.pth").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))  # what a full disk does to writes
    try:
        result = train(*OPTIONS, "--resume", "--output", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = f"error: cannot save {tmp_path / LAST}: File too large; free space and continue with --resume"
    assert result.exit_code == 1 and error in result.stderr
    assert (tmp_path / "state.pth").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".partial") or path.stem == Path(LAST).stem]


RESUMED_WRONGLY = {
    "configuration": (
        ["--config", "yolact_edge_mobilenetv2"],
        "configuration yolact_edge_mobilenetv2 instead of yolact_demo",
    ),
    "size": (["--imgsz", "96"], "another form or other classes of yolact_demo"),
    "data": (["--data", "scenes:12"], "data scenes:12 instead of scenes:11"),
    "batch": (["--batch-size", "4"], "batch_size 4 instead of 2"),
    "seed": (["--seed", "1"], "seed 1 instead of 0"),
    "freezing": (["--freeze", "3"], "frozen_stages 3 instead of 0"),
    "length": (["--iterations", "11"], "iterations 11 instead of 12"),
}


def test_a_complete_run_says_that_it_is(whole: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    shutil.copytree(whole, done)
    result = train(*OPTIONS, "--resume", "--output", done)
    assert result.exit_code == 0 and f"{done} is finished: it has all {ITERATIONS} iterations" in result.stdout
    assert_equal(done, whole)


@pytest.mark.parametrize("name", RESUMED_WRONGLY)
def test_resuming_another_run_is_refused(whole: Path, name: str) -> None:
    options, message = RESUMED_WRONGLY[name]
    before = {path: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    result = CliRunner().invoke(main, [*OPTIONS, "--output", str(whole), "--resume", *options])
    assert result.exit_code == 2, result.output
    assert "cannot resume" in result.output and message in result.output
    assert before == {path: path.read_bytes() for path in whole.iterdir() if path.is_file()}


REJECTED = {
    "run there already": (2, [], "holds a run already; continue it with --resume or choose another --output"),
    "nothing to resume": (1, ["--resume", "--output", "empty"], "there is no empty/state.pth to resume from"),
    "damaged state": (1, ["--resume", "--output", "damaged"], "damaged/state.pth is damaged"),
    "unknown configuration": (2, ["--config", "yolact_huge"], "no configuration is called 'yolact_huge'"),
    "unknown data": (
        2,
        ["--data", "coco", "--output", "new"],
        "expected ANNOTATIONS.json,IMAGE_FOLDER or scenes:COUNT[:SEED] as data",
    ),
    "missing annotations": (1, ["--data", "a.json,images", "--output", "new"], "cannot read a.json"),
    "unknown validation": (2, ["--val", "coco", "--output", "new"], "expected ANNOTATIONS.json,IMAGE_FOLDER"),
    "detections of no validation": (2, ["--max-detections", "400", "--output", "new"], "--max-detections is for --val"),
    "no detections": (
        2,
        ["--max-detections", "0", "--val", "scenes:2", "--output", "new"],
        "max_detections must be a whole number of at least 1",
    ),
    "missing weights": (1, ["--weights", "none.pth", "--output", "new"], "cannot read none.pth"),
    "no weights": (1, ["--weights", "damaged/state.pth", "--output", "new"], "no file of tensors"),
    "batch": (2, ["--accumulate", "3", "--output", "new"], "cannot be divided evenly"),
    "stages": (2, ["--freeze", "8", "--output", "new"], "--freeze 8 is more than the 7 stages that the backbone"),
    "rate": (2, ["--lr", "nan", "--output", "new"], "learning_rate must be a finite number from 0 on, got nan"),
    "steps": (2, ["--lr-steps", "3,x"], "expected iterations separated by commas"),
    "device": (2, ["--device", "tpu", "--output", "new"], "expected auto, cpu, cuda or cuda:N as device, got 'tpu'"),
    "precision": (2, ["--amp", "fp8"], "'fp8' is not one of"),
    "folder": (1, ["--output", "damaged/state.pth/run"], "cannot write to damaged/state.pth/run"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_wrong_usage(whole: Path, here: Path, name: str) -> None:
    code, options, message = REJECTED[name]
    (here / "damaged").mkdir()
    (here / "damaged" / "state.pth").write_bytes(b"PK damaged")
    result = CliRunner().invoke(main, [*OPTIONS, "--output", str(whole), *options])
    assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
    assert message in result.output
    assert [path.name for path in here.rglob("*") if path.is_file()] == ["state.pth"]


def test_a_gpu_that_is_not_there(here: Path) -> None:
    name = f"cuda:{torch.cuda.device_count()}"
    result = CliRunner().invoke(main, [*OPTIONS, "--device", name])
    assert result.exit_code == 2 and f"--device {name}: PyTorch cannot use it" in result.output
