"""Draws detections: translucent masks with an outline, boxes, and labels that stay readable and inside the picture."""

from __future__ import annotations

import colorsys
import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from yolact.runtime.detections import Detections
from yolact.runtime.images.arrays import BoolArray, Image
from yolact.runtime.images.geometry import Region
from yolact.runtime.images.lettering import Color, Lettering
from yolact.runtime.images.preprocess import check_image

ColorBy = Literal["class", "instance"]
"""The unit that has a colour of its own: each class, or, as officially, each instance by its rank."""

_PALETTE_SIZE = 80
_FIRST_COLOR = (0.58, 0.85, 1.0)  # hue, saturation, value: a blue that shows on skin, grass and asphalt
_UNTRACKED: Color = (128, 128, 128)
_SUBPIXEL_BITS = 3
_SUBPIXELS = 1 << _SUBPIXEL_BITS
_MASK_OPACITY = 0.45
_REFERENCE_SIDE = math.sqrt(640 * 480)  # image for which the sizes below are meant; others scale with it
_FONT_SCALE = 0.5
_SMALLEST_FONT_SCALE = 0.35  # smaller letters cannot be read
_BLOCK_PIXELS = 1 << 21  # pixels tinted at a time: keeps temporaries small beside a 100 megapixel image


def annotate(image: Image, detections: Detections, *, color_by: ColorBy = "instance", labels: bool = True) -> Image:
    """A copy of the image with the detections drawn on it, best on top.

    Args:
        image: (H, W, 3) uint8 BGR, of any size.
        detections: found in this image.
        color_by: ``instance``, the first detection has the first colour and so on, which tells neighbours apart, and
            where there are `track_ids` each object keeps its own; or ``class``, which is the same in every image.
        labels: with class and score of each.

    Returns:
        (H, W, 3) uint8 BGR. Labels read ``name score`` with the score instances are ranked by. Where there is no room
        for readable letters beside those of better detections, the score is left out, then the label. Objects that are
        tracked have their id before the name and a line along their trail.

    Raises ImageError where the array is no such image, ValueError where the detections belong to an image of another
    size or `color_by` is something else, TypeError where they are none.
    """
    check_image(image)
    if not isinstance(detections, Detections):
        raise TypeError(f"expected the Detections of one image, got {type(detections).__name__}; draw one at a time")
    if image.shape[:2] != detections.image_size:
        raise ValueError(f"detections of a {detections.image_size} image cannot be drawn on one of {image.shape[:2]}")
    if color_by not in get_args(ColorBy):
        raise ValueError(f"color_by must be class or instance, got {color_by!r}")
    canvas = np.array(image, order="C")
    style = _Style.for_image(canvas)
    colors = _colors(detections, color_by)
    for color, (region, mask) in zip(reversed(colors), detections[::-1].iter_masks(), strict=True):
        _draw_mask(canvas, region, mask, color, style)
    for trail, color in zip(detections.trails or (), colors, strict=False):
        points = np.rint(trail * _SUBPIXELS).astype(np.int32)
        cv2.polylines(canvas, [points], False, color, style.line_width, cv2.LINE_AA, _SUBPIXEL_BITS)
    corners = _pixel_boxes(detections)
    for (left, top, right, bottom), color in zip(reversed(corners), reversed(colors), strict=True):
        cv2.rectangle(canvas, (left, top), (right, bottom), color, style.line_width)
    if labels:
        _draw_labels(canvas, corners, _label_texts(detections), colors, style)
    return canvas


def _colors(detections: Detections, color_by: ColorBy) -> list[Color]:
    """The colour of each detection; grey for those that belong to no track where the others do."""
    if color_by == "class":
        numbers = detections.class_ids.tolist()
    elif detections.track_ids is None:
        numbers = list(range(len(detections)))
    else:
        numbers = [id - 1 if id > 0 else None for id in detections.track_ids.tolist()]
    return [_UNTRACKED if number is None else palette_color(number) for number in numbers]


def palette_color(number: int) -> Color:
    """The colour of a class or of an instance. Colours repeat after 80; until then any two are told apart at a glance.

    The first ones differ most, so that neighbours in the order do, for which the official code takes every fifth of its
    colours (eval.py, `get_color`).
    """
    return _palette()[number % _PALETTE_SIZE]


@functools.cache
def _palette() -> tuple[Color, ...]:
    """Vivid colours, each the one that differs most from all before it in CIELAB, which measures as eyes do."""
    tones = itertools.product((0.4, 0.6, 0.85), (0.55, 0.75, 1.0))
    hsv = [_FIRST_COLOR, *((hue / 36, saturation, value) for saturation, value in tones for hue in range(36))]
    rgb = np.array([colorsys.hsv_to_rgb(*color) for color in hsv], np.float32)
    lab = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2Lab)[0]
    chosen = [0]
    distance = np.linalg.norm(lab - lab[0], axis=1)
    while len(chosen) < _PALETTE_SIZE:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    return tuple((blue, green, red) for red, green, blue in np.rint(255 * rgb[chosen]).astype(int).tolist())


@dataclass(frozen=True)
class _Style:
    """Sizes for one image.

    Attributes:
        font_scale: OpenCV's; capital letters are about 20 x `font_scale` pixels high.
        stroke: thickness of letters, pixels.
        line_width: of boxes, pixels; mask outlines have half of it.
        padding: between letters and the edge of their label, pixels.
    """

    font_scale: float
    stroke: int
    line_width: int
    padding: int

    @classmethod
    def for_image(cls, image: Image) -> _Style:
        height, width = image.shape[:2]
        # The shorter side limits the letters in panoramas.
        side = min(math.sqrt(height * width), 2 * min(height, width))
        scale = max(_SMALLEST_FONT_SCALE, _FONT_SCALE * side / _REFERENCE_SIDE)
        return cls(scale, max(1, round(1.6 * scale)), max(1, round(4 * scale)), max(2, round(7 * scale)))

    def lettering(self, text: str) -> Lettering:
        """The text at this size."""
        return Lettering(text, self.font_scale, self.stroke)


@dataclass(frozen=True)
class _Label:
    words: Lettering
    baseline: int  # pixels between the lower edge of the label and the foot of its letters
    region: Region


def _draw_mask(canvas: Image, region: Region, mask: BoolArray, color: Color, style: _Style) -> None:
    """Tint the mask and draw its outline, both inside it, in place."""
    if not mask.any():
        return
    levels = np.arange(256)[:, None] * (1 - _MASK_OPACITY) + np.array(color) * _MASK_OPACITY
    tint = np.rint(levels).astype(np.uint8)[None]
    inside = mask.view(np.uint8)
    rows_at_once = max(1, _BLOCK_PIXELS // mask.shape[1])
    for start in range(0, mask.shape[0], rows_at_once):
        rows = slice(region.top + start, min(region.top + start + rows_at_once, region.bottom))
        part = canvas[rows, region.left : region.right]
        cv2.copyTo(cv2.LUT(part, tint), inside[start : start + rows_at_once], part)
    width = 1 + 2 * max(1, style.line_width // 2)
    # A constant border closes the outline at the edge of the region, which may be the edge of the mask.
    core = cv2.erode(inside, np.ones((width, width), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    canvas[region.slices][(core == 0) & mask] = color


def _pixel_boxes(detections: Detections) -> list[tuple[int, int, int, int]]:
    """Boxes as (left, top, right, bottom) of the pixels their lines go through."""
    height, width = detections.image_size
    last = np.array([width, height, width, height]) - 1
    boxes = np.clip(np.rint(detections.boxes), 0, last).astype(int)
    return [(left, top, right, bottom) for left, top, right, bottom in boxes.tolist()]


def _label_texts(detections: Detections) -> list[tuple[str, str]]:
    """For each detection its label, and a shorter one for where there is no room for that."""
    scores = detections.ranking_scores.tolist()
    names: Sequence[str] = detections.class_names
    if detections.track_ids is not None:
        ids = detections.track_ids.tolist()
        names = [f"#{id} {name}" if id > 0 else name for id, name in zip(ids, names, strict=True)]
    return [(f"{name} {score:.2f}", name) for name, score in zip(names, scores, strict=True)]


def _draw_labels(
    canvas: Image,
    corners: Sequence[tuple[int, int, int, int]],
    texts: Sequence[tuple[str, str]],
    colors: Sequence[Color],
    style: _Style,
) -> None:
    """Place the labels best first, so that the best get the best places, and draw them in place."""
    placed: list[_Label] = []
    shown: list[Color] = []
    for box, choices, color in zip(corners, texts, colors, strict=True):
        label = next(filter(None, (_place_label(canvas, box, text, placed, style) for text in choices)), None)
        if label is not None:
            placed.append(label)
            shown.append(color)
    for label, color in zip(reversed(placed), reversed(shown), strict=True):
        canvas[label.region.slices] = color
        # Drawing on the label alone keeps strokes that reach past the measured text from touching the picture.
        background = canvas[label.region.slices]
        origin = (style.padding, label.region.shape[0] - label.baseline)
        label.words.draw(background, origin, _text_color(color))


def _place_label(
    canvas: Image, box: tuple[int, int, int, int], text: str, placed: Sequence[_Label], style: _Style
) -> _Label | None:
    """The place of a box's label: inside the picture and clear of the labels before; None where nothing is free.

    Best is above the box, then from its upper edge down, then below it; flush with its left side or, where that does
    not work, with the right one.
    """
    words = style.lettering(text)
    height, width = words.ascent + words.descent + style.padding, words.width + 2 * style.padding
    lowest, rightmost = canvas.shape[0] - height, canvas.shape[1] - width
    if lowest < 0 or rightmost < 0:
        return None
    left, top, right, bottom = box
    margin = style.line_width // 2  # how far the line of the box reaches out
    tops = (top - height, *range(max(top - margin, 0), bottom - height, height), bottom + 1)
    lefts = (min(max(left - margin, 0), rightmost), min(max(right + margin + 1 - width, 0), rightmost))
    for y, x in itertools.product(tops, lefts):
        region = Region(y, x, y + height, x + width)
        if 0 <= y <= lowest and not any(_overlap(region, other.region) for other in placed):
            return _Label(words, words.descent + style.padding // 2, region)
    return None


def _overlap(a: Region, b: Region) -> bool:
    return a.top < b.bottom and b.top < a.bottom and a.left < b.right and b.left < a.right


def _text_color(background: Color) -> Color:
    """Black or white, whichever has more contrast (relative luminance of WCAG 2)."""
    channels = (value / 255 for value in background)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)
