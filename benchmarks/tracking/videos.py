"""Videos with exact tracks, and what a detector that makes mistakes would find in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact.runtime.detections import Detections
from yolact.training.pages.side_by_side import instances_of_masks

SIZE = (240, 320)
NAMES = tuple("abcd")


@dataclass(frozen=True)
class Truth:
    """What is visible in a frame: masks (n, H, W) uint8, class and instance ids (n,), and what is asked for (n,)."""

    masks: NDArray[np.uint8]
    class_ids: NDArray[np.int64]
    instance_ids: NDArray[np.int64]
    wanted: NDArray[np.bool_]


def belt(seed: int, index: int, frames: int) -> list[Truth]:
    """Machine parts that rest on each other and are carried past a camera."""
    from yolact.training.scenes.bins import draw_belt

    return [
        Truth(scene.masks, scene.class_ids % len(NAMES), scene.instance_ids, ~scene.hidden)
        for scene in draw_belt(seed, index, frames, SIZE)
    ]


def crossing(seed: int, index: int, frames: int, count: int = 14) -> list[Truth]:
    """Shapes that fly in all directions, bounce at the borders and pass before and behind each other."""
    rng = np.random.default_rng([seed, index])
    height, width = SIZE
    places = rng.uniform((30, 30), (width - 30, height - 30), (count, 2))
    speeds = rng.uniform(1, 6, (count, 1)) * _unit(rng.uniform(0, 2 * np.pi, count))
    axes, angles = rng.uniform(10, 32, (count, 2)), rng.uniform(0, 180, count)
    turns, classes = rng.uniform(-3, 3, count), rng.integers(0, 2, count)
    film = []
    for _ in range(frames):
        owners = np.full(SIZE, -1, np.int16)
        outlines = np.zeros(count)
        for number in range(count):
            whole = np.zeros(SIZE, np.uint8)
            corners = cv2.boxPoints((places[number].tolist(), (2 * axes[number]).tolist(), float(angles[number])))
            if number % 2:
                cv2.fillPoly(whole, [np.rint(corners).astype(np.int32)], 1)
            else:
                cv2.ellipse(whole, (places[number].tolist(), (2 * axes[number]).tolist(), float(angles[number])), 1, -1)
            owners[whole > 0], outlines[number] = number, whole.sum()
        shown = [number for number in range(count) if (owners == number).sum() > 12]
        masks = np.array([owners == number for number in shown], np.uint8).reshape(-1, *SIZE)
        wanted = masks.sum(axis=(1, 2)) >= 0.25 * outlines[shown]
        film.append(Truth(masks, classes[shown], np.array(shown, np.int64), wanted))
        places += speeds
        angles += turns
        out = (places < 12) | (places > (width - 12, height - 12))
        speeds = np.where(out, -speeds, speeds)
        places = np.clip(places, 12, (width - 12, height - 12))
    return film


def _unit(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def detected(film: list[Truth], seed: int) -> Iterator[Detections]:
    """The frames of a film with the mistakes of a detector.

    Objects are dropped one frame in ten and sometimes for up to eight in a row, edges and boxes shake, scores fall with
    what is visible, touching neighbours are merged, classes change now and then, and there are false detections.
    """
    rng = np.random.default_rng([seed, 9])
    away: dict[int, int] = {}
    largest: dict[int, int] = {}
    for truth in film:
        masks, classes, scores = list[NDArray[np.uint8]](), list[int](), list[float]()
        for mask, class_id, id in zip(truth.masks, truth.class_ids.tolist(), truth.instance_ids.tolist(), strict=True):
            area = int(mask.sum())
            largest[id] = max(largest.get(id, 0), area)
            if rng.random() < 0.02:
                away[id] = int(rng.integers(2, 9))
            away[id] = away.get(id, 0) - 1
            if away[id] >= 0 or rng.random() < 0.08:
                continue
            shaken = _shake(mask, rng)
            if not shaken.any():
                continue
            masks.append(shaken)
            classes.append(class_id if rng.random() > 0.03 else (class_id + 1) % len(NAMES))
            scores.append(float(np.clip(0.95 * (area / largest[id]) ** 0.5 + rng.normal(0, 0.1), 0.06, 0.99)))
        _merge(masks, scores, rng)
        if rng.random() < 0.3:
            masks.append(_blob(rng))
            classes.append(int(rng.integers(len(NAMES))))
            scores.append(float(rng.uniform(0.05, 0.35)))
        found = instances_of_masks(masks, classes, scores, SIZE, NAMES)
        found.boxes[:] = np.clip(found.boxes + rng.normal(0, 1, found.boxes.shape), 0, (SIZE[1], SIZE[0]) * 2)
        yield found.select()


def _shake(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    moved = cv2.warpAffine(mask, np.array([[1, 0, rng.normal(0, 1)], [0, 1, rng.normal(0, 1)]]), SIZE[::-1])
    kernel = np.ones((3, 3), np.uint8)
    change = (cv2.erode, cv2.dilate, lambda mask, _: mask)[int(rng.integers(3))]
    return np.asarray(change(np.asarray(moved, np.uint8), kernel), np.uint8)


def _merge(masks: list[NDArray[np.uint8]], scores: list[float], rng: np.random.Generator) -> None:
    """Now and then one mask takes in its neighbour's."""
    for one in range(len(masks)):
        for other in range(one):
            if rng.random() < 0.03 and (cv2.dilate(masks[one], np.ones((5, 5), np.uint8)) & masks[other]).any():
                masks[one] = masks[one] | masks[other]
                scores[other] *= 0.4


def _blob(rng: np.random.Generator) -> NDArray[np.uint8]:
    blob = np.zeros(SIZE, np.uint8)
    middle = rng.uniform((0, 0), SIZE[::-1])
    cv2.ellipse(blob, (middle.tolist(), rng.uniform(8, 40, 2).tolist(), float(rng.uniform(0, 180))), 1, -1)
    blob[int(np.clip(middle[1], 0, SIZE[0] - 1)), int(np.clip(middle[0], 0, SIZE[1] - 1))] = 1
    return blob
