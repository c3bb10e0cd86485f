"""One object that is followed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from yolact.runtime.images.arrays import FloatArray
from yolact.runtime.tracking.shape import Shape, mask_ious

_NEW_SHARE = 0.2
"""Weight of the speed that one frame measures; the rest is the weight of the speed before."""

_AS_WHOLE = 0.9
"""Share of the whole mask from which an object counts as seen whole."""

_WHOLE_FRAMES = 30
"""Frames after which the visible part counts as the whole: the object has become smaller."""


@dataclass
class Track:
    """The state of an object.

    Attributes:
        id: its number, from 1.
        class_id: of the detection it was seen as last.
        box: (4,) xyxy where it was seen last, pixels.
        shape: its mask there.
        whole: the largest mask of the last frames, moved along, since an object is hidden bit by bit.
        trail: the last centres of its box, oldest first.
        velocity: (2,) pixels a frame to the right and down.
        age: frames since it was seen.
        whole_age: frames since it was seen whole.
        length: detections so far.
    """

    id: int
    class_id: int
    box: FloatArray
    shape: Shape
    whole: Shape
    trail: deque[tuple[float, float]]
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    age: int = 0
    whole_age: int = 0
    length: int = 1

    def overlaps(self, shapes: Sequence[Shape]) -> FloatArray:
        """(S,) IoU of these masks with its last one where that should be now."""
        return mask_ious([self.shape.moved(*self._way())], shapes)[0]

    def shares_inside(self, shapes: Sequence[Shape]) -> FloatArray:
        """(S,) share of each of these masks that lies where the whole object should be now."""
        whole = self.whole.moved(*self._way())
        return np.array([whole.shared(shape) / max(1, shape.area) for shape in shapes], np.float32)

    def _way(self) -> tuple[float, float]:
        """The distance that it should have moved since it was seen: to the right and down, pixels."""
        right, down = (self.velocity * self.age).tolist()
        return right, down

    def see(self, class_id: int, box: FloatArray, shape: Shape) -> None:
        """Take in the detection that it is seen as now."""
        speed = _displacement(self.box, box, self.velocity * self.age) / self.age
        share = max(_NEW_SHARE, 1 / self.length)
        self.velocity = (1 - share) * self.velocity + share * speed
        self.class_id, self.box, self.shape = class_id, box, shape
        whole = self.whole.moved(*self._way())
        self.whole_age += self.age
        if shape.area >= _AS_WHOLE * whole.area or self.whole_age > _WHOLE_FRAMES:
            whole, self.whole_age = shape, 0
        self.whole = whole
        self.trail.append(centre(box))
        self.age = 0
        self.length += 1


def centre(box: FloatArray) -> tuple[float, float]:
    """The middle (x, y) of an xyxy box."""
    left, top, right, bottom = box.tolist()
    return (left + right) / 2, (top + bottom) / 2


def _displacement(before: FloatArray, now: FloatArray, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance that a box has moved, (2,) to the right and down.

    Where an object is covered or leaves the image, one edge of its box stops while the other moves on: of both edges
    and the middle, the one counts that is nearest to the expected motion.
    """
    edges = (now.astype(np.float64) - before).reshape(2, 2)
    moves = np.stack([edges.mean(axis=0), *edges])
    chosen = np.abs(moves - expected).argmin(axis=0)
    return moves[chosen, [0, 1]]
