"""The kinds of synthetic scenes, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from yolact.training.models.configs import PART_CLASSES, SCENE_CLASSES
from yolact.training.scenes import shapes
from yolact.training.scenes.scene import Scene

KindName = Literal["shapes", "bin"]


@dataclass(frozen=True)
class SceneKind:
    """A generator of scenes.

    Attributes:
        classes: names, in the order of the class ids.
        size: height and width of pictures where none is asked for, pixels.
        suffix: format of its pictures.
        check: raises YolactError where it cannot draw here.
        draw: scene of a seed, an index and a size.
        film: frames of a video of a seed, an index, a number and a size; None where it has no videos.
    """

    classes: tuple[str, ...]
    size: tuple[int, int]
    suffix: str
    check: Callable[[], None]
    draw: Callable[[int, int, tuple[int, int]], Scene]
    film: Callable[[int, int, int, tuple[int, int]], Iterator[Scene]] | None


def _check_drawing() -> None:
    from yolact.training.scenes.physics import check_drawing

    check_drawing()


def _draw_bin(seed: int, index: int, size: tuple[int, int]) -> Scene:
    from yolact.training.scenes.bins import draw_bin  # needs MuJoCo

    return draw_bin(seed, index, size)


def _film_belt(seed: int, index: int, frames: int, size: tuple[int, int]) -> Iterator[Scene]:
    from yolact.training.scenes.bins import draw_belt

    return draw_belt(seed, index, frames, size)


def _draw_shapes(seed: int, index: int, size: tuple[int, int]) -> Scene:
    return shapes.draw_shapes(seed, index, size)


KINDS: dict[KindName, SceneKind] = {
    "shapes": SceneKind(SCENE_CLASSES, shapes.SIZE, ".png", lambda: None, _draw_shapes, None),
    "bin": SceneKind(PART_CLASSES, (480, 640), ".jpg", _check_drawing, _draw_bin, _film_belt),
}
