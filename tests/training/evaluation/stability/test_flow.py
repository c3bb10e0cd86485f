"""Figures along an optical flow, where the exact motion is known too: made films, and belts of machine parts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from yolact.runtime.detections import Detections
from yolact.runtime.errors import YolactError
from yolact.training.evaluation.stability.flow import Flow, FlowMove
from yolact.training.evaluation.stability.motions import LEAST_SIDE, MOTIONS, film
from yolact.training.evaluation.stability.moves import ExactMove
from yolact.training.evaluation.stability.steps import Stability, Step, measure_step
from yolact.training.pages.side_by_side import instances_of_masks
from yolact.training.scenes.shapes import draw_shapes

SIZE = (144, 192)
MARGIN = 8
BOUNDS = {"iou": 0.006, "iou_p5": 0.02, "box": 0.002, "area": 0.01}
"""By how much figures along the flow may differ from the exact motion; docs/how-to/tracking.md says it too."""


def found(masks: Sequence[np.ndarray], frame: int, size: tuple[int, int]) -> Detections:
    """Masks with mistakes that change from frame to frame: each is 0, 1 or 2 pixels too wide all around."""
    wide = [cv2.dilate(mask.astype(np.uint8), None, iterations=(k + frame) % 3) for k, mask in enumerate(masks)]
    return instances_of_masks(wide, range(len(wide)), [0.9] * len(wide), size, [f"{k}" for k in range(len(wide))])


def steps_of(name: str, frames: int) -> tuple[list[Step], list[Step], list[bool]]:
    """Steps of a made film along the exact motion and along the flow, and which were taken for still."""
    scene = draw_shapes(1, 0, (SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN))
    pictures, matrices = zip(*film(scene.image, MOTIONS[name], frames, 0), strict=True)
    detections = []
    for frame, matrix in enumerate(matrices):
        whole = matrix.copy()
        whole[:, 2] -= matrix[:, :2] @ (MARGIN, MARGIN)
        moved = [cv2.warpAffine(mask * 255, whole, SIZE[::-1]) > 127 for mask in scene.masks if mask.sum() > 200]
        detections.append(found(moved, frame, SIZE))
    exact, flow, still = [], [], []
    for k in range(frames - 1):
        back = np.vstack([cv2.invertAffineTransform(matrices[k]), [0, 0, 1]])
        exact.append(measure_step(detections[k], detections[k + 1], ExactMove(matrices[k + 1] @ back, SIZE)))
        move = Flow.between(pictures[k], pictures[k + 1]).to_move(list(detections[k].masks))
        still.append(isinstance(move, ExactMove))
        flow.append(measure_step(detections[k], detections[k + 1], move))
    return exact, flow, still


@pytest.mark.parametrize("name", MOTIONS)
def test_figures_agree_with_those_of_the_exact_motion(name: str) -> None:
    exact_steps, flow_steps, still = steps_of(name, 4)
    exact, flow = Stability.of(exact_steps).to_json(), Stability.of(flow_steps).to_json()
    assert exact["instances"] == flow["instances"] and flow["left_out"] == flow["lost"] == 0
    assert exact["iou"] < 0.9, "there are mistakes to be seen"
    for figure, bound in BOUNDS.items():
        assert flow[figure] == pytest.approx(exact[figure], abs=bound), figure
    assert 0.95 < flow["floor"] <= 1
    assert still == [name not in ("pan", "zoom")] * 3
    assert name in ("pan", "zoom") or flow == exact


def test_an_object_that_moves_before_a_camera_that_does_not_is_followed() -> None:
    random = np.random.default_rng(3)
    ground = cv2.GaussianBlur(random.integers(0, 256, (120, 160, 3)).astype(np.uint8), (0, 0), 1.5)
    thing = cv2.GaussianBlur(random.integers(0, 256, (40, 40, 3)).astype(np.uint8), (0, 0), 1.5)
    pictures, masks = [], []
    for left in (40, 44):
        picture, mask = ground.copy(), np.zeros((120, 160), np.uint8)
        picture[40:80, left : left + 40] = thing
        mask[40:80, left : left + 40] = 1
        pictures.append(picture)
        masks.append(mask)
    flow = Flow.between(*pictures)
    first, second = (instances_of_masks([mask], [0], [0.9], (120, 160), ["thing"]) for mask in masks)
    move = flow.to_move(list(first.masks))
    assert not flow.moves_camera() and isinstance(move, FlowMove)
    step = measure_step(first, second, move)
    assert step.ious[0] > 0.92 and step.boxes[0] < 0.01 and step.left_out == 0
    assert measure_step(first, second, ExactMove(np.eye(2, 3), (120, 160))).ious[0] == pytest.approx(36 / 44)


def test_nobody_knows_where_an_object_went_after_a_cut() -> None:
    random = np.random.default_rng(4)
    pictures = [cv2.GaussianBlur(random.integers(0, 256, (96, 128, 3)).astype(np.uint8), (0, 0), 2) for _ in range(2)]
    flow = Flow.between(*pictures)
    mask = np.zeros((96, 128), np.uint8)
    mask[20:60, 30:90] = 1
    one = instances_of_masks([mask], [0], [0.9], (96, 128), ["thing"])
    step = measure_step(one, one, flow.to_move(list(one.masks)))
    assert flow.discarded > 0.5 and (step.left_out, step.lost, len(step.ious)) == (1, 0, 0)


def test_the_smallest_and_emptiest_pictures_have_a_flow() -> None:
    """OpenCV ends the process at sizes that are not much smaller."""
    for size in ((LEAST_SIDE, LEAST_SIDE), (LEAST_SIDE, 900), (900, LEAST_SIDE)):
        grey = np.full((*size, 3), 90, np.uint8)
        flow = Flow.between(grey, grey)
        assert flow.discarded == 0 and not flow.moves_camera()


def shifted(mask: np.ndarray, right: int) -> np.ndarray:
    return np.pad(mask, ((0, 0), (right, 0)))[:, : mask.shape[1]]


def test_belts_of_machine_parts_have_the_figures_of_their_exact_masks() -> None:
    """Of a detector that is wrong by known pixels: along the exact motion its masks would be those of the next frame,
    as wrong as in this one. Parts are solids seen at an angle, so the motion differs from pixel to pixel."""
    try:
        from yolact.training.scenes.bins import draw_belt

        scenes = list(draw_belt(2, 0, 4, (240, 320)))
    except YolactError as error:
        pytest.skip(str(error))
    wrong = (0, 3, 1, 2)
    exact, flow, boxes = [], [], []
    for k in range(3):
        ids = [id for id in scenes[k].instance_ids if id in scenes[k + 1].instance_ids]
        now, then = ([scene.masks[scene.instance_ids.tolist().index(id)] for id in ids] for scene in scenes[k : k + 2])
        for mask in then:
            a, b = shifted(mask, wrong[k]) > 0, shifted(mask, wrong[k + 1]) > 0
            exact.append((a & b).sum() / (a | b).sum())
            rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            boxes.append(abs(wrong[k] - wrong[k + 1]) / 2 / np.sqrt(np.ptp(rows) * np.ptp(columns)))
        both = [
            instances_of_masks([shifted(mask, by) for mask in masks], ids, [0.9] * len(ids), (240, 320), ["part"] * 99)
            for masks, by in ((now, wrong[k]), (then, wrong[k + 1]))
        ]
        between = Flow.between(scenes[k].image, scenes[k + 1].image)
        assert between.moves_camera() and between.discarded < 0.05
        flow.append(measure_step(*both, between.to_move(list(both[0].masks))))
    figures = Stability.of(flow)
    assert figures.instances == len(exact) and figures.lost == figures.left_out == 0
    assert figures.iou is not None and figures.floor is not None and figures.box is not None
    assert np.mean(exact) < 0.95 and abs(figures.iou - np.mean(exact)) < 0.025
    assert abs(figures.box - np.mean(boxes)) < 0.01 and figures.floor > 0.95
