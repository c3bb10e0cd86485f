"""Bins of machine parts: masks against rays that are cast at the bodies, tracks of a belt, files, what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from waiting import wait_until

from yolact.cli.scenes import main
from yolact.runtime.errors import YolactError
from yolact.training.data.datasets import CocoDataset
from yolact.training.models.configs import PART_CLASSES

try:
    from yolact.training.scenes.bin_model import draw_layout
    from yolact.training.scenes.bins import LEAST_AREA, LEAST_SHARE, _Stage, draw_belt, draw_bin
    from yolact.training.scenes.physics import check_drawing, mujoco

    check_drawing()
except YolactError as error:
    pytest.skip(str(error), allow_module_level=True)

SIZE = (120, 160)
STEP = 3
"""Pixels between rays."""


def cast_rays(stage: _Stage, only: int | None = None) -> np.ndarray:
    """Number of the part that rays through the centres of every third pixel meet first, -1 for none.

    MuJoCo computes where lines meet triangles here, and nothing is rasterised.
    """
    model, data, camera = stage._model, stage._data, stage._drawing.camera[0]
    forward, up = np.array(camera.forward), np.array(camera.up)
    right = np.cross(forward, up)
    reach = np.tan(np.radians(model.vis.global_.fovy / 2))
    groups = model.geom_group.copy()
    if only is not None:
        model.geom_group[:] = 5
        model.geom_group[stage._parts[only]] = 1
    height, width = SIZE
    hit = np.full((len(range(0, height, STEP)), len(range(0, width, STEP))), -1)
    drawn = np.array([only is None, True, False, False, False, False], np.uint8)
    found = np.zeros(1, np.int32)
    for i, row in enumerate(range(0, height, STEP)):
        for j, column in enumerate(range(0, width, STEP)):
            x = ((column + 0.5) / width * 2 - 1) * reach * width / height
            y = (1 - (row + 0.5) / height * 2) * reach
            direction = forward + x * right + y * up
            middle = (stage._drawing.camera[0].pos + stage._drawing.camera[1].pos) / 2
            mujoco.mj_ray(model, data, middle, direction / np.linalg.norm(direction), drawn, 1, -1, found)
            hit[i, j] = stage._parts.index(found[0]) if found[0] in stage._parts else -1
    model.geom_group[:] = groups
    return hit


@pytest.mark.parametrize("index", [0, 3])
def test_masks_are_what_rays_meet(index: int) -> None:
    rng = np.random.default_rng([4, index])
    with _Stage(rng, draw_layout(rng, belt=1), SIZE) as stage:
        scene = stage.look(rng, 0)
        hit = cast_rays(stage)
        owners = np.full(SIZE, -1)
        for number, mask in zip(scene.instance_ids, scene.masks, strict=True):
            owners[mask.astype(bool)] = number
        assert (owners[::STEP, ::STEP] == hit).mean() > 0.985, "all but pixels on an edge"
        assert scene.masks.sum(axis=0).max() == 1
        assert [stage._layout.parts[n].class_id for n in scene.instance_ids] == scene.class_ids.tolist()
        for number, mask, hidden in zip(scene.instance_ids, scene.masks, scene.hidden, strict=True):
            whole = (cast_rays(stage, number) == number).sum()
            share, area = (hit == number).sum() / max(whole, 1), mask.mean()
            if abs(share - LEAST_SHARE) > 0.08 and whole > 20:
                assert hidden == (share < LEAST_SHARE or area < LEAST_AREA)


def test_a_bin_is_a_function_of_seed_and_index() -> None:
    first, again, other = (draw_bin(*key, SIZE) for key in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == (*SIZE, 3) and first.image.std() > 5


def test_parts_lie_still() -> None:
    """What is photographed has come to rest: on the floor, inside the walls, and hardly moving."""
    for index in range(3):
        rng = np.random.default_rng([8, index])
        layout = draw_layout(rng, belt=1)
        stage = _Stage(rng, layout, SIZE)
        places = stage._data.xpos[1:]
        assert (places[:, 2] > 0).all() and (places[:, 2] < 4).all()
        assert (np.abs(places[:, :2]) < [layout.half_width + 0.1, layout.half_depth + 0.1]).all()
        assert np.median(np.abs(stage._data.qvel)) < 0.1


def test_tracks_of_a_belt() -> None:
    """Each part keeps its class and id, and goes left by the same way; some leave and others come."""
    centres, classes = defaultdict(list), {}
    frames = list(draw_belt(3, 0, 60, SIZE))
    for number, scene in enumerate(frames):
        for id, class_id, box in zip(scene.instance_ids, scene.class_ids, scene.boxes, strict=True):
            assert classes.setdefault(id, class_id) == class_id
            if box[0] > 2 and box[2] < SIZE[1] - 2:  # wholly in the picture
                centres[id].append((number, (box[0] + box[2]) / 2))
    assert set(frames[0].instance_ids) != set(frames[-1].instance_ids)
    speeds = [
        (track[-1][1] - track[0][1]) / (track[-1][0] - track[0][0]) for track in centres.values() if len(track) > 10
    ]
    assert len(speeds) >= 2 and max(speeds) < -0.5 and min(speeds) > 2 * max(speeds), "nearer ones go faster"


def run(*options: str) -> str:
    result = CliRunner().invoke(main, ["--kind", "bin", "--height", "120", "--width", "160", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_files(tmp_path: Path) -> None:
    """Workers write what one process writes; the annotations can be trained on; hidden parts are crowd."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert "wrote 3 pictures" in run("--count", "3", "--seed", "6", "--output", str(one))
    run("--count", "3", "--seed", "6", "--workers", "2", "--output", str(two))
    written = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert [str(path) for path in written] == ["annotations.json", *(f"images/00000{n}.jpg" for n in range(3))]
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in written)
    data = CocoDataset(one / "annotations.json", one / "images")
    assert data.class_names == PART_CLASSES
    for index in range(len(data)):
        scene = draw_bin(6, index, SIZE)
        np.testing.assert_array_equal(data[index].masks, scene.masks[~scene.hidden])
        assert len(data[index].crowd_boxes) == scene.hidden.sum()


def test_videos(tmp_path: Path) -> None:
    assert "wrote 6 pictures" in run("--count", "2", "--frames", "3", "--output", str(tmp_path / "set"))
    content = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert [video["name"] for video in content["videos"]] == ["000000", "000001"]
    assert [(i["video_id"], i["frame_id"]) for i in content["images"]] == [(v, f) for v in (1, 2) for f in range(3)]
    assert all("track_id" in annotation for annotation in content["annotations"])
    assert sorted(path.name for path in (tmp_path / "set").glob("*.mp4")) == ["000000.mp4", "000001.mp4"]
    run("--count", "1", "--output", str(tmp_path / "set"))
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["annotations.json", "images"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the workers in /proc")
def test_a_worker_that_ends_is_an_error(tmp_path: Path) -> None:
    options = ["--kind", "bin", "--height", "64", "--width", "64", "--count", "5000", "--workers", "2"]
    code = "from yolact.cli.scenes import main; main()"
    command = [sys.executable, "-c", code, *options, "--output", str(tmp_path / "set")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: any((tmp_path / "set").glob("images/*.jpg")))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(workers[0]), signal.SIGKILL)
        assert (
            "error: a process that draws scenes ended; if memory ran out, use fewer --workers"
            in process.communicate()[1]
        )
    assert process.returncode == 1 and not (tmp_path / "set" / "annotations.json").exists()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """Without MuJoCo the line that installs it; with an OpenGL that is not there the package of the system."""
    hide = "import sys; sys.modules['mujoco'] = None\n"
    call = f"from yolact.cli.scenes import main; main(['--kind', 'bin', '--output', {str(tmp_path / 'set')!r}])"
    for code, setting, sentence in (
        (hide + call, "osmesa", "drawing bins needs mujoco; install it with: pip install"),
        (call, "nothing", "apt-get install libosmesa6"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "MUJOCO_GL": setting}, capture_output=True, text=True
        )
        assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--frames", "0"], ["--workers", "0"], ["--width", "5000"], ["--kind", "box"]])
def test_wrong_usage(options: list[str]) -> None:
    assert CliRunner().invoke(main, options).exit_code == 2


def test_shapes_have_no_videos(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--frames", "3", "--output", str(tmp_path / "set")])
    assert result.exit_code == 2 and "--frames is for --kind bin" in result.stderr
    assert list(tmp_path.iterdir()) == []
