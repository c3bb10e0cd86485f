"""Pictures that explain the masks of a network (paper figure 5): prototypes, and the composition of a mask."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from yolact.runtime.images.arrays import FloatArray, Image
from yolact.runtime.images.drawing import annotate
from yolact.runtime.images.preprocess import check_image
from yolact.training.explain.composition import draw_composition
from yolact.training.explain.explanation import Explanation
from yolact.training.explain.panels import (
    GAP,
    MUTED,
    above,
    beside,
    framed,
    padded,
    panel_proportions,
    resized,
    spread,
    text,
)

_MARGIN = 28
_WIDTH = 1920  # of a sheet without instances, whose compositions would set it
_SHEET_WIDTH = 1250  # of a sheet of prototypes
_ROOM_FOR_MAXIMUM = 96  # width of a panel that shows its maximum beside its index
_SMALLEST_PROTOTYPE, _LARGEST_PROTOTYPE = 44, 320  # width; the former has room for an index


def prototype_sheet(prototypes: FloatArray, image_size: tuple[int, int] = (1, 1)) -> Image:
    """All prototypes in a grid, each from its own minimum, dark, to its own maximum, bright, with index and maximum.

    Args:
        prototypes: (K, Hp, Wp) float32, K >= 1.
        image_size: (height, width) of the image, whose proportions the panels get.

    Returns:
        (H, W, 3) uint8 BGR, up to 1300 pixels wide.
    """
    proportions = panel_proportions(image_size)
    columns = _columns(len(prototypes), proportions)
    width = min(_SHEET_WIDTH, columns * _LARGEST_PROTOTYPE)
    grid = _prototype_grid(prototypes, proportions, width, columns)
    return padded(above([_prototype_heading(len(prototypes)), grid], GAP), _MARGIN)


def composition_sheet(image: Image, explanation: Explanation, instance: int, class_names: Sequence[str]) -> Image:
    """How the mask of one instance is composed: its strongest terms, the rest, their sum, sigmoid, crop and threshold.

    Args:
        image: (H, W, 3) uint8 BGR, of any size.
        explanation: of this image.
        instance: index of the detection.
        class_names: names by class id.

    Returns:
        (h, w, 3) uint8 BGR, about 2000 pixels wide.
    """
    check_image(image)
    return padded(draw_composition(image, explanation, instance, class_names), _MARGIN)


def explanation_sheet(image: Image, explanation: Explanation, class_names: Sequence[str], instances: int = 3) -> Image:
    """The image with its detections, all prototypes, and the compositions of the first few instances.

    Args: as of `composition_sheet`; all detections in `explanation` are drawn, which `Explanation.select` limits.
    """
    check_image(image)
    rows = [
        draw_composition(image, explanation, index, class_names) for index in range(min(instances, len(explanation)))
    ]
    width = max((row.shape[1] for row in rows), default=_WIDTH)
    parts = [_overview(image, explanation, class_names, width)]
    for row in rows:
        parts += [np.full((1, width, 3), MUTED, np.uint8), row]
    return padded(above(parts, 2 * GAP), _MARGIN)


def _overview(image: Image, explanation: Explanation, class_names: Sequence[str], width: int) -> Image:
    """The annotated image beside the prototypes, both of one height."""
    proportions, count = panel_proportions(image.shape[:2]), len(explanation)
    photo_width, columns = _split(len(explanation.prototypes), proportions, width - 3 * GAP)
    photo = resized(image, (round(photo_width / proportions), photo_width))
    photo = annotate(photo, explanation.in_image(photo.shape[:2], class_names), color_by="class")
    title = f"{count} instances" if count > 1 else "1 instance" if count else "No instance was found"
    grid = _prototype_grid(explanation.prototypes, proportions, width - 3 * GAP - photo_width, columns)
    left = above([text(title, 1.3, bold=True), framed(photo)], GAP)
    return beside([left, above([_prototype_heading(len(explanation.prototypes)), grid], GAP)], 3 * GAP)


def _columns(count: int, proportions: float) -> int:
    """Number of columns of a grid that is about twice as wide as high and leaves few places empty."""

    def flaw(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns / rows * proportions / 2)) + 6 * (1 - count / (rows * columns))

    return min(range(1, count + 1), key=flaw)


def _split(count: int, proportions: float, width: float) -> tuple[int, int]:
    """Width of a photo beside a grid of `count` panels that is as high, and the columns of that grid."""
    wanted = min(0.36, 0.3 * proportions) * width
    caption = text("P0", bold=True).shape[0]
    choices = []
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        panels = rows * ((width - (columns - 1) * GAP) / columns + caption * proportions)
        photo = (panels + (rows - 1) * GAP * proportions) / (1 + rows / columns)
        unused = (rows * columns - count) / (rows * columns)
        is_narrow = (width - photo) / columns - GAP < _SMALLEST_PROTOTYPE
        flaw = abs(photo - wanted) / width + unused / 2 + is_narrow
        choices.append((flaw, round(min(photo, 0.6 * width)), columns))
    _, photo_width, columns = min(choices)
    return photo_width, columns


def _prototype_heading(count: int) -> Image:
    title = text(f"{count} prototypes" if count > 1 else "1 prototype", 1.3, bold=True)
    note = text("each from its minimum, dark, to its maximum, bright", color=MUTED)
    return beside([title, note], GAP, "end")


def _prototype_grid(prototypes: FloatArray, proportions: float, width: float, columns: int) -> Image:
    """Prototypes over a width, each with its index and maximum under it."""
    across = max(_SMALLEST_PROTOTYPE, int((width - (columns - 1) * GAP) / columns))
    size = (round(across / proportions), across)
    panels = [_prototype_panel(index, prototype, size) for index, prototype in enumerate(prototypes)]
    return above([beside(panels[start : start + columns], GAP) for start in range(0, len(panels), columns)], GAP)


def _prototype_panel(index: int, prototype: FloatArray, size: tuple[int, int]) -> Image:
    panel = spread(resized(prototype, size))
    caption = text(f"P{index}", bold=True)
    if size[1] >= _ROOM_FOR_MAXIMUM:
        largest = text(f"{prototype.max():.2g}" if prototype.max() > prototype.min() else "flat", 0.8, MUTED)
        caption = beside([caption, largest], size[1] - caption.shape[1] - largest.shape[1], "end")
    return above([panel, caption])
