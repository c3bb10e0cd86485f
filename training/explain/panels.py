"""The panels that explaining pictures consist of: colour scales, views of a window, text and signs, and their layout.

Everything is an image (H, W, 3) uint8 BGR on white paper, so that nothing is ever placed by coordinates.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import cv2
import numpy as np

from yolact.runtime.images.arrays import BoolArray, FloatArray, Image
from yolact.runtime.images.lettering import Color, Lettering

PAPER: Color = (255, 255, 255)
INK: Color = (48, 40, 34)
MUTED: Color = (132, 122, 112)
FRAME: Color = (205, 200, 195)
POSITIVE: Color = (40, 30, 185)
NEGATIVE: Color = (175, 95, 25)

Align = Literal["start", "centre", "end"]
Sign = Literal["+", "-", "=", "->", ""]
Array = TypeVar("Array", FloatArray, Image)

GAP = 12
"""Pixels between two parts."""

_PROPORTIONS = (0.45, 2.6)  # width / height between which an image's own are kept
_SHARES: dict[Align, float] = {"start": 0, "centre": 0.5, "end": 1}
_DIVERGING = (
    (5, 48, 97),
    (33, 102, 172),
    (103, 169, 207),
    (247, 247, 247),
    (239, 138, 98),
    (178, 24, 43),
    (103, 0, 31),
)
"""Blue over white to red, RGB: evenly spaced in strength and told apart by colour-blind eyes as well."""


def spread(values: FloatArray) -> Image:
    """Values (h, w) from their own minimum, dark, to their maximum, bright (viridis); dark where all are alike."""
    low, high = float(values.min()), float(values.max())
    return sequential((values - low) / (high - low or 1), cv2.COLORMAP_VIRIDIS)


def sequential(values: FloatArray, colormap: int = cv2.COLORMAP_BONE) -> Image:
    """Values (h, w) from 0, dark, to 1, bright."""
    return np.asarray(cv2.applyColorMap(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8), colormap), np.uint8)


def diverging(values: FloatArray, limit: float) -> Image:
    """Values (h, w) from ``-limit``, blue, over 0, white, to ``limit``, red; beyond it the same colours."""
    level = np.clip(values / (limit or 1), -1, 1)
    return _diverging_scale()[np.rint(127 * level).astype(int) + 127]


@functools.cache
def _diverging_scale() -> Image:
    """(255, 3) BGR: an odd number, so that zero has a colour of its own."""
    anchors = np.array(_DIVERGING, np.float64)[:, ::-1]
    at = np.linspace(0, len(anchors) - 1, 255)
    channels = [np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


@dataclass(frozen=True)
class View:
    """A window of the image as it is shown in a panel, at one magnification for photo, mask and prototypes.

    Attributes:
        whole: (height, width) of the whole image at this magnification, pixels.
        top, left: of the window, pixels.
        shape: (height, width) of the panel, pixels.
    """

    whole: tuple[int, int]
    top: int
    left: int
    shape: tuple[int, int]

    @classmethod
    def around(cls, box: FloatArray, shape: tuple[int, int], *, room: float = 2.0, least: float = 0.35) -> View:
        """A window with the proportions of the image, `room` times as large as a box (4,) xyxy relative to the image.

        It never shows less than `least` of the image's sides, nor anything beyond its borders.
        """
        x1, y1, x2, y2 = np.clip(box, 0, 1).tolist()
        side = min(1.0, max(least, room * max(x2 - x1, y2 - y1)))
        whole = (round(shape[0] / side), round(shape[1] / side))
        centre = ((y1 + y2) / 2 * whole[0], (x1 + x2) / 2 * whole[1])
        top, left = (
            min(max(0, round(c - shown / 2)), size - shown) for c, shown, size in zip(centre, shape, whole, strict=True)
        )
        return cls(whole, top, left, shape)

    def __call__(self, array: Array) -> Array:
        """The window of an image or a grid of values (H, W, ...), whatever its resolution."""
        return resized(array, self.whole)[self.top : self.top + self.shape[0], self.left : self.left + self.shape[1]]

    def mask(self, mask: BoolArray) -> BoolArray:
        """The window of a mask (H, W)."""
        return self(mask.view(np.uint8) * np.uint8(255)) > 127

    @property
    def window(self) -> FloatArray:
        """(4,) xyxy relative to the image: the part that is shown."""
        corners = (self.left, self.top, self.left + self.shape[1], self.top + self.shape[0])
        return (np.array(corners) / (self.whole[::-1] * 2)).astype(np.float32)

    def rectangle(self, box: FloatArray) -> tuple[tuple[int, int], tuple[int, int]]:
        """Corners (x, y) in the panel of a box (4,) xyxy relative to the image; they may lie outside it."""
        scale = np.array([self.whole[1], self.whole[0]] * 2)
        left, top, right, bottom = np.rint(np.clip(box, -1, 2) * scale - np.array([self.left, self.top] * 2)).tolist()
        return (int(left), int(top)), (int(right) - 1, int(bottom) - 1)


def panel_proportions(image_size: tuple[int, int]) -> float:
    """Width / height of the panels that show an image of size (height, width); of extreme ones less extreme."""
    return min(max(image_size[1] / image_size[0], _PROPORTIONS[0]), _PROPORTIONS[1])


def resized(array: Array, size: tuple[int, int]) -> Array:
    """An image or a grid of values (H, W, ...) at another size (height, width), without aliasing."""
    shrinks = size[0] * size[1] < array.shape[0] * array.shape[1]
    return cast(Array, cv2.resize(array, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def framed(panel: Image) -> Image:
    """A copy with a hairline inside its edge, which sets pale panels off from the paper."""
    result = np.array(panel, order="C")
    cv2.rectangle(result, (0, 0), (result.shape[1] - 1, result.shape[0] - 1), FRAME)
    return result


def text(words: str, size: float = 1.0, color: Color = INK, *, bold: bool = False, width: int | None = None) -> Image:
    """One line of text, at size 1 about 17 pixels high; cut off with dots where it would be wider than `width`."""
    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    scale = 0.55 * size

    def letters(text: str) -> Lettering:
        return Lettering(text, scale, 1, font)

    chosen = letters(words)
    if width is not None and chosen.width > width:
        shorter = (letters(f"{words[:count].rstrip()}...") for count in range(len(words), 0, -1))
        chosen = next((cut for cut in shorter if cut.width <= width), letters(""))
    model = letters("Hg")
    line = np.full((model.ascent + model.descent + 4, max(chosen.width, 1) + 2, 3), PAPER, np.uint8)
    chosen.draw(line, (1, model.ascent + 2), color)
    return line


def sign(kind: Sign, color: Color = INK, *, side: int = 30) -> Image:
    """A drawn sign, the same size for all; fonts differ in where they put theirs."""
    canvas = np.full((side, side, 3), PAPER, np.uint8)
    middle, reach = side // 2, side // 4

    def line(x1: int, y1: int, x2: int, y2: int) -> None:
        cv2.line(canvas, (middle + x1, middle + y1), (middle + x2, middle + y2), color, 2, cv2.LINE_AA)

    if kind in ("+", "-", "->"):
        line(-reach, 0, reach, 0)
    if kind == "+":
        line(0, -reach, 0, reach)
    if kind == "=":
        line(-reach, -reach // 2, reach, -reach // 2)
        line(-reach, reach // 2, reach, reach // 2)
    if kind == "->":
        line(reach, 0, reach // 3, -reach // 2 - 1)
        line(reach, 0, reach // 3, reach // 2 + 1)
    return canvas


def scale_bar(colors: Image, labels: Sequence[str], title: str) -> Image:
    """A key to colours: a title, a bar and under it labels at equal distances.

    Args:
        colors: (1, w, 3) uint8 BGR, from left to right.
    """
    bar = framed(np.repeat(colors, 14, axis=0))
    texts = [text(label, 0.9, MUTED) for label in labels]
    space = max(4, (bar.shape[1] - sum(t.shape[1] for t in texts)) // max(1, len(texts) - 1))
    return above([text(title), bar, beside(texts, space)], 5)


def beside(images: Sequence[Image], gap: int = 0, align: Align = "start") -> Image:
    """Images from left to right."""
    columns = above([image.transpose(1, 0, 2) for image in images], gap, align)
    return np.ascontiguousarray(columns.transpose(1, 0, 2))


def above(images: Sequence[Image], gap: int = 0, align: Align = "start") -> Image:
    """Images from top to bottom."""
    width = max(image.shape[1] for image in images)
    height = sum(image.shape[0] for image in images) + gap * (len(images) - 1)
    canvas = np.full((height, width, 3), PAPER, np.uint8)
    top = 0
    for image in images:
        left = round(_SHARES[align] * (width - image.shape[1]))
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
        top += image.shape[0] + gap
    return canvas


def padded(image: Image, margin: int) -> Image:
    """The image with paper all around it."""
    around = ((margin, margin), (margin, margin), (0, 0))
    return np.pad(image, around, constant_values=PAPER[0])
