"""What a training run logs, read back as TensorBoard reads it, and as Weights & Biases leaves it on the disk."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolact.runtime.errors import YolactError
from yolact.training.monitor import RUN_ID_FILE, Monitor

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="TensorBoard is not installed -- pip install '.[train]'",
)


def read(folder: Path) -> event_accumulator.EventAccumulator:
    keep_all = dict.fromkeys(("scalars", "images", "tensors"), 0)
    return event_accumulator.EventAccumulator(str(folder), size_guidance=keep_all).Reload()


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, pytest.approx(event.value)) for event in read(folder).Scalars(name)]


def picture(height: int = 30, width: int = 50) -> np.ndarray:
    """Blue on the left, red on the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = image[:, width // 2 :, 2] = 250
    return image


def test_curves_and_pictures_are_read_back(tmp_path: Path) -> None:
    with Monitor(tmp_path / "run", settings={"learning_rate": 0.001, "steps": (3, 4)}) as monitor:
        for iteration in (20, 40):
            monitor.scalars({"loss/box": 1 / iteration, "loss/mask": float(iteration)}, iteration)
        monitor.picture("prototypes", picture(), 40)
        monitor.picture("prototypes", picture(7, 9), 60)
    events = read(tmp_path / "run")
    assert set(events.Tags()["scalars"]) == {"loss/box", "loss/mask"}
    assert points(tmp_path / "run", "loss/box") == [(20, 1 / 20), (40, 1 / 40)]
    assert points(tmp_path / "run", "loss/mask") == [(20, 20), (40, 40)]
    first, second = events.Images("prototypes")
    assert (first.step, first.width, first.height, second.step) == (40, 50, 30, 60)
    for event, expected in ((first, picture()), (second, picture(7, 9))):
        decoded = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(decoded, expected)
    (text,) = (event.tensor_proto.string_val[0].decode() for event in events.Tensors("settings/text_summary"))
    assert json.loads(text.removeprefix("```json").removesuffix("```")) == {"learning_rate": 0.001, "steps": [3, 4]}


def test_pictures_can_be_looked_at_before_the_run_ends(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path)
    monitor.scalars({"loss": 1}, 1)
    monitor.picture("photo", picture(), 1)
    events = read(tmp_path)
    assert len(events.Images("photo")) == len(events.Scalars("loss")) == 1
    monitor.close()
    monitor.close()


def test_a_resumed_run_draws_nothing_twice(tmp_path: Path) -> None:
    """The first run was killed at 5, after its checkpoint at 3."""
    with Monitor(tmp_path, settings={"seed": 1}) as monitor:
        for iteration in range(1, 6):
            monitor.scalars({"loss": 10.0 + iteration}, iteration)
    time.sleep(1.1)  # event files are read in the order of their names, which count seconds
    with Monitor(tmp_path, settings={"seed": 1}, resumed_at=3) as monitor:
        for iteration in range(4, 8):
            monitor.scalars({"loss": 20.0 + iteration}, iteration)
    assert points(tmp_path, "loss") == [(1, 11), (2, 12), (3, 13), (4, 24), (5, 25), (6, 26), (7, 27)]
    assert len(read(tmp_path).Tensors("settings/text_summary")) == 1


def test_a_new_run_in_the_same_folder_hides_the_old_one(tmp_path: Path) -> None:
    with Monitor(tmp_path) as monitor:
        monitor.scalars({"loss": 1}, 1)
        monitor.scalars({"loss": 2}, 2)
    time.sleep(1.1)
    with Monitor(tmp_path) as monitor:
        monitor.scalars({"loss": 3}, 1)
    assert points(tmp_path, "loss") == [(1, 3)]


@pytest.mark.parametrize("most", [0, 3000])
def test_training_goes_on_where_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture, most: int) -> None:
    """TensorBoard writes in a thread of its own, whose traceback would be printed."""
    failures = []
    hook, threading.excepthook = threading.excepthook, failures.append
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))  # what a full disk does to writes
    try:
        with Monitor(tmp_path, settings={"seed": 1}) as monitor:
            for iteration in range(1, 30):
                monitor.scalars({"loss": 1.0}, iteration)
                monitor.picture("photo", picture(200, 300), iteration)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert threading.excepthook == failures.append
        threading.excepthook = hook
    assert failures == []
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write the file for TensorBoard: File too large; training goes on without it"
    ]


def test_what_a_failed_run_logged_is_kept(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"), Monitor(tmp_path) as monitor:
        monitor.scalars({"loss": 1}, 1)
        raise RuntimeError("out of memory")
    assert points(tmp_path, "loss") == [(1, 1)]


@pytest.mark.parametrize(
    ("missing", "advice"),
    [("torch.utils.tensorboard", r"pip install -e '\.\[train\]'"), ("wandb", r"pip install -e '\.\[wandb\]'")],
)
def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, advice: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(YolactError, match=advice):
        Monitor(tmp_path / "run", wandb=True)
    assert not (tmp_path / "run").exists()


def test_importing_needs_neither(tmp_path: Path) -> None:
    program = "import yolact.training.monitor, sys; print(*{'torch', 'tensorboard', 'wandb'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"


PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from yolact.runtime.errors import YolactError
from yolact.training.monitor import Monitor

folder, resumed_at = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
try:
    with Monitor(folder, wandb=True, name="tiny", settings={"learning_rate": 0.001}, resumed_at=resumed_at) as monitor:
        for iteration in range((resumed_at or 0) + 1, (resumed_at or 0) + 4):
            monitor.scalars({"loss/box": 0.25 * iteration}, iteration)
        monitor.picture("prototypes", np.zeros((30, 50, 3), np.uint8) + np.uint8([250, 0, 0]), iteration)
except YolactError as error:
    sys.exit(f"refused: {error}")
"""


def log_to_wandb(folder: Path, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, whose user has no settings and no key."""
    pytest.importorskip("wandb", reason="Weights & Biases is not installed -- pip install '.[wandb]'")
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    own |= {"HOME": str(home), "NETRC": str(home / "netrc"), **environment}
    command = [sys.executable, "-c", PROGRAM, str(folder), *arguments]
    return subprocess.run(command, env=own, input="", capture_output=True, text=True, timeout=120)


def test_weights_and_biases_offline(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / RUN_ID_FILE).write_text("earlier1")
    first = log_to_wandb(folder, tmp_path, WANDB_MODE="offline")
    assert first.returncode == 0, first.stderr
    run_id = (folder / RUN_ID_FILE).read_text()
    assert run_id != "earlier1", "a new run is another one"
    (data,) = folder.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    content = data.read_bytes()
    for expected in (b"loss/box", b"0.75", b"learning_rate", b"yolact", b"tiny"):
        assert expected in content, expected
    (image,) = data.parent.glob("files/media/images/prototypes_3_*.png")
    np.testing.assert_array_equal(cv2.imread(str(image))[0, 0], [250, 0, 0])
    assert cv2.imread(str(image)).shape == (30, 50, 3)
    assert points(folder, "loss/box") == [(1, 0.25), (2, 0.5), (3, 0.75)]

    assert log_to_wandb(folder, tmp_path, "3", WANDB_MODE="offline").returncode == 0
    assert (folder / RUN_ID_FILE).read_text() == run_id
    assert len(list(folder.glob(f"wandb/offline-run-*-{run_id}"))) == 2
    assert [step for step, _ in points(folder, "loss/box")] == [1, 2, 3, 4, 5, 6]


def test_weights_and_biases_without_a_key_asks_for_nothing(tmp_path: Path) -> None:
    result = log_to_wandb(tmp_path / "run", tmp_path)
    assert result.returncode == 1
    assert result.stderr.strip().endswith(
        "refused: --wandb needs an API key; run `wandb login` first, or set WANDB_MODE=offline to log locally"
    )
    assert not (tmp_path / "run").exists()
