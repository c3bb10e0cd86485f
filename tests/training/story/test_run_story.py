"""Curves, pictures, page and time of a run, each looked at as its reader does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolact.runtime.detections import Detections
from yolact.runtime.images.geometry import ImageTransform
from yolact.training.data.ground_truth import read_ground_truth
from yolact.training.models.configs import CONFIGS
from yolact.training.reporter import line_rhythm
from yolact.training.run_record import RunRecord, Validation
from yolact.training.scenes.files import SceneRequest, write_scenes
from yolact.training.settings import TrainSettings
from yolact.training.story import pace
from yolact.training.story.curves import draw_curves
from yolact.training.story.metrics_table import MetricsTable
from yolact.training.story.pace import Pace, duration
from yolact.training.story.page import MARK, write_page
from yolact.training.story.samples import (
    MOST_MOMENTS,
    Sample,
    draw_pair,
    drop_pictures,
    file_name,
    validation_samples,
)
from yolact.training.train_request import TrainRequest
from yolact.training.trainer import loss_terms

CONFIG = CONFIGS["yolact_demo"]


def table(folder: Path, rows: int, *, validated: bool) -> MetricsTable:
    made = MetricsTable(folder, loss_terms(CONFIG))
    for iteration in range(1, rows + 1):
        values = dict.fromkeys(made.columns, 1 / iteration) | {"iteration": iteration, "box_AP": None, "mask_AP": None}
        made.add(values | ({"box_AP": 20.0, "mask_AP": 10.0} if validated and iteration % 2 == 0 else {}))
    return made


@pytest.mark.parametrize(("rows", "validated"), [(1, False), (60, False), (2, True), (60, True)])
def test_curves_are_a_picture_with_every_color_of_a_curve(tmp_path: Path, rows: int, validated: bool) -> None:
    image = cv2.imdecode(
        np.frombuffer(draw_curves(table(tmp_path, rows, validated=validated), "a run"), np.uint8), cv2.IMREAD_COLOR
    )
    assert image is not None and image.shape == (1000, 1000, 3)
    colors = {"box": "1f77b4", "mask": "d62728", "confidence": "2ca02c"}
    lowest = {}
    for name, color in colors.items():
        rgb = np.array([int(color[i : i + 2], 16) for i in (0, 2, 4)])
        shown = np.abs(image[:, :, ::-1].astype(int) - rgb).max(axis=2) < 40
        assert shown.any(), name
        lowest[name] = np.flatnonzero(shown.any(axis=1)).max()
    # The panel of AP is below that of the losses, and its curves are blue and red alone.
    assert (lowest["box"] > lowest["confidence"] + 20) == validated


def test_drawing_touches_no_state_of_matplotlib() -> None:
    """Which somebody else's notebook may be using; and importing the commands costs nothing of it."""
    program = (
        "import sys; import yolact.cli.train; assert 'matplotlib' not in sys.modules;"
        "from pathlib import Path; from yolact.training.story.metrics_table import MetricsTable;"
        "from yolact.training.story.curves import draw_curves; t = MetricsTable(Path('.'), ('total',));"
        "t.add(dict.fromkeys(t.columns, 1.0)); draw_curves(t, 'x'); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_pictures_show_what_is_annotated(tmp_path: Path) -> None:
    write_scenes(SceneRequest(tmp_path, 6, 5, size=(80, 100)))
    truth = read_ground_truth(tmp_path / "annotations.json", tmp_path / "images")
    samples = validation_samples(truth, CONFIG)
    assert len(samples) == 4
    for index, sample in enumerate(samples):
        annotated = [one for one in truth.images[index].annotations if not one.is_crowd]
        areas = [mask.sum() for mask in sample.truth.masks]
        assert areas == [one.area for one in annotated]
        assert [CONFIG.category_ids[id] for id in sample.truth.class_ids] == [one.category_id for one in annotated]
    sample = samples[0]
    nothing = sample.truth[:0]
    pair = draw_pair(sample, nothing)
    height, width = sample.image.shape[:2]
    assert pair.shape[1] == 2 * width + 8 and pair.shape[0] > height
    np.testing.assert_array_equal(pair[-height:, -width:], sample.image)  # nothing was found
    assert (pair[-height:, :width] != sample.image).any()


def test_large_images_are_drawn_smaller() -> None:
    image = np.zeros((3000, 1500, 3), np.uint8)
    none = Detections(
        *(np.zeros(shape, np.float32) for shape in ((0, 4), 0)),
        np.zeros(0, np.int32),
        None,
        None,
        ImageTransform((3000, 1500)),
        mask_bits=(),
    )
    assert draw_pair(Sample(image, none), none).shape[1] == 2 * 400 + 8


def test_a_bounded_number_of_pictures_is_kept(tmp_path: Path) -> None:
    (tmp_path / "notes_0.jpg").touch()
    for iteration in range(1, 200):
        for number in (0, 1):
            (tmp_path / file_name(iteration, number)).touch()
        drop_pictures(tmp_path)
        kept = sorted({int(path.name[:6]) for path in tmp_path.glob("0*.jpg")})
        assert (kept[0], kept[-1]) == (1, iteration) and len(kept) <= MOST_MOMENTS
    assert len(kept) > MOST_MOMENTS / 3 and len(list(tmp_path.glob("0*.jpg"))) == 2 * len(kept)
    assert max(np.diff(kept)) < 60, "they are spread over the run"
    drop_pictures(tmp_path, after=100)
    assert max(int(path.name[:6]) for path in tmp_path.glob("0*.jpg")) <= 100
    assert (tmp_path / "notes_0.jpg").exists()
    drop_pictures(tmp_path / "missing")


REQUEST = TrainRequest(
    CONFIG,
    TrainSettings(6, (4,)),
    "it's a.json,images",
    Path("runs/x y"),
    validation="v.json,v",
    save_every=3,
    arguments=("--data", "it's a.json,images", "--exif", "keep", "--by-id", "--lr", "1"),
)
RECORD = RunRecord(
    REQUEST.arguments,
    "/home",
    (("classes", "2: a|b 3, `c` <d> 1"),),
    3725.0,
    tuple(Validation(3 * n, 0.1, 0.2 if n == 2 else 0.1) for n in range(1, 15)),
)


@pytest.mark.parametrize("finished", [False, True])
def test_the_page(finished: bool) -> None:
    page = write_page(REQUEST, RECORD, 3, finished)
    assert page.startswith(MARK) and "Best mask AP: 20.00 at iteration 6" in page and "1 h 02 min" in page
    assert """yolact-train --data 'it'"'"'s a.json,images' --exif keep --by-id --lr 1 --output 'runs/x y'""" in page
    assert "a\\|b 3, \\`c\\` &lt;d> 1" in page
    assert "| 6 | 10.00 | **20.00** |" in page and "| 9 | " not in page, "the best and the last ten"
    following = (
        "yolact-export --weights 'runs/x y/best.pth'" if finished else "yolact-train --resume --output 'runs/x y'"
    )
    assert f"$ {following}" in page
    measured = "$ yolact-eval --weights 'runs/x y/best.pth' --annotations v.json --images v --exif keep --by-id\n"
    assert (measured in page) == finished
    for name in ("metrics.csv", "curves.png", "state.pth", "run.json", "best.pth", "validation/"):
        assert f"`{name}`" in page


def test_time_is_told_from_steps_and_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now)
    clock = Pace(total=10, save_every=4)
    told = []
    for iteration in range(1, 11):
        now += 50 if iteration <= 2 else 2  # the first steps start workers
        clock.step()
        told.append(clock.seconds_left(iteration))
        if iteration % 4 == 0:
            now += 30
            clock.paused(30)
    assert told == [None, None, 14, 12, 70, 68, 66, 64, 32, 30]
    lonely = Pace(total=1, save_every=4)
    now += 3
    lonely.step()
    assert lonely.seconds_left(1) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3661, "1 h 01 min"),
        (200000, "2 d 7 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_lines_come_at_a_rhythm_that_fits_the_run() -> None:
    assert [line_rhythm(total) for total in (1, 6, 39, 40, 200, 400, 800_000)] == [1, 1, 1, 2, 10, 20, 20]
