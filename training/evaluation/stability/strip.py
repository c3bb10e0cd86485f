"""A strip of a film's frames as small pictures: some spread over the film, and those around its worst steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import annotate
from yolact.training.evaluation.stability.steps import Step
from yolact.training.evaluation.stability.ways import Way
from yolact.training.pages.jpeg import to_jpeg

WIDEST = 240
"""Longest side of a picture, pixels."""

Pictures = Mapping[Way, bytes]

_SPREAD = 4
"""Frames that are spread over a film, up to twice as many."""

_MOMENTS = 3
"""Worst steps that are shown."""

_APART = 5
"""Frames between two of them, so that they show three mistakes and not one of them thrice."""


@dataclass(frozen=True)
class StripFrame:
    """A frame in a strip.

    Attributes:
        number: from 0 in the film.
        pictures: JPEG files of the frame with the shown detections, by way.
        is_worst: whether one of the worst steps leads to it.
    """

    number: int
    pictures: Pictures
    is_worst: bool


class Strip:
    """Keeps a few frames of a film that is seen once, so of any length."""

    def __init__(self) -> None:
        self._stride = 1
        self._spread: dict[int, Pictures] = {}
        self._moments: dict[int, tuple[float, Pictures, Pictures]] = {}

    def add(self, number: int, badness: float, draw: Callable[[int], Pictures]) -> None:
        """Take in the next frame. `badness` is that of the step to it; `draw` draws this frame or the one before it."""
        if number % self._stride == 0:
            self._spread[number] = draw(number)
            if len(self._spread) > 2 * _SPREAD:
                self._stride *= 2
                self._spread = {at: kept for at, kept in self._spread.items() if at % self._stride == 0}
        near = [at for at in self._moments if number - at < _APART]
        if badness > max((self._moments[at][0] for at in near), default=0.0) and (
            near or len(self._moments) < _MOMENTS or badness > min(self._moments.values(), key=_badness_of)[0]
        ):
            for at in near:
                del self._moments[at]
            self._moments[number] = badness, draw(number - 1), draw(number)
            if len(self._moments) > _MOMENTS:
                del self._moments[min(self._moments, key=lambda at: self._moments[at][0])]

    def frames(self) -> list[StripFrame]:
        """The kept frames, in the order of the film."""
        kept = dict(self._spread)
        for number, (_, before, after) in self._moments.items():
            kept |= {number - 1: before, number: after}
        return [StripFrame(number, kept[number], number in self._moments) for number in sorted(kept)]


def _badness_of(moment: tuple[float, Pictures, Pictures]) -> float:
    return moment[0]


def badness(step: Step) -> float:
    """How bad a step is: the instances that are lost or appear, and then how badly masks fit."""
    return float(step.lost + step.appeared + (1 - step.ious).sum())


def draw_found(image: Image, found: Mapping[Way, Detections]) -> Pictures:
    """A frame (H, W, 3) uint8 BGR with its shown detections in each way."""
    return {way: to_jpeg(annotate(image, one, labels=False), WIDEST) for way, one in found.items()}
