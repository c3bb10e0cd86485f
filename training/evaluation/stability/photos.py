"""Runs a detector over films that are made of photos, and measures how calm it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.errors import DatasetError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import annotate
from yolact.runtime.images.image_files import read_image
from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.tracking.following import Following
from yolact.training.evaluation.stability.motions import LEAST_SIDE, MOTIONS, Matrix, film
from yolact.training.evaluation.stability.moves import ExactMove
from yolact.training.evaluation.stability.steps import Stability, Step, measure_step
from yolact.training.evaluation.stability.strip import WIDEST, badness
from yolact.training.evaluation.stability.ways import WAYS, Way
from yolact.training.pages.jpeg import to_jpeg

if TYPE_CHECKING:
    from yolact.runtime.detections import Detections
    from yolact.runtime.detector import Detector

FRAMES = 8
"""Frames of each film."""


@dataclass(frozen=True)
class Photo:
    """An image file that becomes films."""

    path: Path

    def read(self) -> Image:
        """The photo, (H, W, 3) uint8 BGR. Raises ImageError where it cannot be read, DatasetError where it is small."""
        pixels = read_image(self.path)
        if min(pixels.shape[:2]) < LEAST_SIDE:
            side = min(pixels.shape[:2])
            raise DatasetError(
                f"{self.path} has a side of {side} pixels; --stability needs photos of {LEAST_SIDE} or more"
            )
        return pixels


@dataclass(frozen=True)
class PhotoStability:
    """The measured figures.

    Attributes:
        photos: how many.
        frames: of each film.
        figures: of each motion and way over all photos.
        over_time: likewise, of each step from one frame to the next.
        strip: frames by number, as JPEG files, by motion and way: the worst step of all photos and its neighbours.
        strip_of: which photo the strip of a motion shows.
    """

    photos: int
    frames: int
    figures: dict[str, dict[Way, Stability]]
    over_time: dict[str, dict[Way, list[Stability]]]
    strip: dict[str, dict[Way, list[tuple[int, bytes]]]]
    strip_of: dict[str, str]


def measure_photos(
    detector: Detector,
    photos: Sequence[Photo],
    frames: int = FRAMES,
    *,
    top_k: int = DISPLAY_TOP_K,
    progress: bool = True,
) -> PhotoStability:
    """Measure every motion on every photo, for the best `top_k` instances of each frame.

    Raises ImageError where a photo cannot be read, DatasetError where one is too small.
    """
    steps: dict[str, dict[Way, list[list[Step]]]] = {name: {way: [] for way in WAYS} for name in MOTIONS}
    worst: dict[str, tuple[float, str, dict[Way, list[tuple[int, bytes]]]]] = {}
    bar = ProgressBar(total=len(photos) * len(MOTIONS), unit=" films", leave=None, disable=not progress)
    with bar:
        for index, photo in enumerate(photos):
            pixels = photo.read()
            for name, motion in MOTIONS.items():
                pictures, matrices = zip(*film(pixels, motion, frames, index), strict=True)
                shown = _detect(detector, pictures, top_k)
                for way in WAYS:
                    steps[name][way].append(_steps(shown[way], matrices))
                bad = sum(map(badness, steps[name]["as found"][-1]))
                if bad > worst.get(name, (-1.0,))[0]:
                    strip = {way: _strip(pictures, shown[way], steps[name]["as found"][-1]) for way in WAYS}
                    worst[name] = bad, photo.path.name, strip
                bar.update()
    return PhotoStability(
        photos=len(photos),
        frames=frames,
        figures={
            name: {way: Stability.of(list(chain.from_iterable(films))) for way, films in ways.items()}
            for name, ways in steps.items()
        },
        over_time={
            name: {way: [Stability.of(at) for at in zip(*films, strict=True)] for way, films in ways.items()}
            for name, ways in steps.items()
        },
        strip={name: strip for name, (_, _, strip) in worst.items()},
        strip_of={name: photo for name, (_, photo, _) in worst.items()},
    )


def _detect(detector: Detector, pictures: Sequence[Image], top_k: int) -> dict[Way, list[Detections]]:
    """The shown detections of each frame in each way."""
    following = Following(DISPLAY_SCORE_THRESHOLD, smooth=True)
    shown: dict[Way, list[Detections]] = {way: [] for way in WAYS}
    batch = detector.engine.min_batch
    with detector.stream(pictures, 2, batch_size=batch, score_threshold=following.least_score, top_k=top_k) as stream:
        for found in stream:
            shown["as found"].append(found.select(DISPLAY_SCORE_THRESHOLD))
            shown["smoothed"].append(following.next(found, None))
    return shown


def _steps(found: Sequence[Detections], matrices: Sequence[Matrix]) -> list[Step]:
    """The changes between neighbours."""
    pairs = zip(found[:-1], found[1:], matrices[:-1], matrices[1:], strict=True)
    return [
        measure_step(before, after, ExactMove(_between(first, second), before.image_size))
        for before, after, first, second in pairs
    ]


def _between(first: Matrix, second: Matrix) -> Matrix:
    """The motion from one frame to the other."""
    if np.array_equal(first, second):
        return np.eye(2, 3)
    back = np.vstack([np.asarray(cv2.invertAffineTransform(first)), [0, 0, 1]])
    return np.asarray(second @ back)


def _strip(pictures: Sequence[Image], found: Sequence[Detections], steps: Sequence[Step]) -> list[tuple[int, bytes]]:
    """Four frames around the worst step, drawn."""
    worst = max(range(len(steps)), key=lambda index: badness(steps[index]))
    first = max(0, min(worst - 1, len(pictures) - 4))
    chosen = range(first, min(first + 4, len(pictures)))
    return [(index, to_jpeg(annotate(pictures[index], found[index], labels=False), WIDEST)) for index in chosen]
