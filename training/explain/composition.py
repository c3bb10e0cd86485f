"""Draws how one mask is composed (paper figure 5): a sum of prototypes times coefficients, sigmoid, crop, threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from yolact.runtime.images.arrays import BoolArray, FloatArray, Image
from yolact.runtime.images.drawing import annotate, palette_color
from yolact.runtime.images.lettering import Color
from yolact.training.explain.explanation import Composition, Explanation
from yolact.training.explain.panels import (
    GAP,
    INK,
    MUTED,
    NEGATIVE,
    PAPER,
    POSITIVE,
    Sign,
    View,
    above,
    beside,
    diverging,
    framed,
    panel_proportions,
    resized,
    scale_bar,
    sequential,
    sign,
    text,
)

SHOWN_TERMS = 6
"""Number of prototypes that a composition shows one by one; the others are summed."""

_PANEL_AREA = 27_000  # pixels of a panel, whatever its proportions


def draw_composition(image: Image, explanation: Explanation, instance: int, class_names: Sequence[str]) -> Image:
    """The photo at the left, at the right the terms of the mask, under them their sum and the steps that follow.

    Args and result: as of `pictures.composition_sheet`, but without a margin.
    """
    proportions = panel_proportions(image.shape[:2])
    shape = (round(math.sqrt(_PANEL_AREA / proportions)), round(math.sqrt(_PANEL_AREA * proportions)))
    box = explanation.found.boxes[instance]
    view = View.around(box, shape)
    composition = explanation.compose(instance, SHOWN_TERMS)
    limit = _limit(composition)
    terms = _terms(composition, view, box, limit)
    result = beside([_result(image, explanation, instance, composition, view, limit), _key(limit)], 4 * GAP)
    stages = above([terms, result], GAP)
    photo = _photo(image, explanation, instance, class_names, (stages.shape[0], round(stages.shape[0] * proportions)))
    heading = _instance_heading(explanation, instance, class_names, stages.shape[1])
    return above([heading, beside([_with_window(photo, view), stages], 2 * GAP)], GAP)


def _instance_heading(explanation: Explanation, instance: int, class_names: Sequence[str], width: int) -> Image:
    class_id = int(explanation.found.class_ids[instance])
    score = text(f"{explanation.ranking_scores[instance]:.2f}", 1.3, bold=True)
    name = text(class_names[class_id], 1.3, bold=True, width=width - score.shape[1])
    return beside([np.full((name.shape[0], 10, 3), palette_color(class_id), np.uint8), name, score], GAP // 2)


def _photo(
    image: Image, explanation: Explanation, instance: int, class_names: Sequence[str], size: tuple[int, int]
) -> Image:
    """The whole image with this instance alone, in the colour of its class as in all other panels."""
    found = explanation.in_image(size, class_names)[[instance]]
    return framed(annotate(resized(image, size), found, color_by="class"))


def _with_window(photo: Image, view: View) -> Image:
    """The photo with the part framed that the panels show, in place."""
    if view.whole != view.shape:
        corners = View(photo.shape[:2], 0, 0, photo.shape[:2]).rectangle(view.window)
        cv2.rectangle(photo, *corners, INK, 4)
        cv2.rectangle(photo, *corners, PAPER, 2)
    return photo


def _terms(composition: Composition, view: View, box: FloatArray, limit: float) -> Image:
    """The strongest terms and the sum of the others, joined by the signs of their coefficients."""
    parts: list[Image] = []
    for index, coefficient, term in zip(
        composition.indices.tolist(), composition.coefficients.tolist(), composition.terms, strict=True
    ):
        is_negative = coefficient < 0
        panel = _boxed(diverging(view(term), limit), view, box)
        caption = text(f"{abs(coefficient):.2f} x P{index}", color=NEGATIVE if is_negative else POSITIVE, bold=True)
        kind: Sign = "-" if is_negative else "+" if parts else ""
        parts += [_between(kind, view), above([panel, caption], align="centre")]
    if composition.others:
        panel = _boxed(diverging(view(composition.rest), limit), view, box)
        caption = text(f"{composition.others} others" if composition.others > 1 else "1 other", bold=True)
        parts += [_between("+", view), above([panel, caption], align="centre")]
    return beside(parts, 4)


def _result(
    image: Image, explanation: Explanation, instance: int, composition: Composition, view: View, limit: float
) -> Image:
    """The sum, and the steps that make a mask of it."""
    box, logits = explanation.found.boxes[instance], view(composition.logits)
    mask = explanation.in_image(image.shape[:2])[[instance]].masks[0]
    color = palette_color(int(explanation.found.class_ids[instance]))
    probabilities = _boxed(sequential(view(composition.probabilities)), view, box)
    cropped = sequential(view(explanation.found.masks[instance]))
    steps: list[tuple[Sign, Image, str, str]] = [
        ("=", _boxed(diverging(logits, limit), view, box), "sum", f"{logits.min():.1f} to {logits.max():.1f}"),
        ("->", probabilities, "sigmoid", ""),
        ("->", cropped, "cropped", ""),
        ("->", framed(_cut_out(view(image), view.mask(mask), color)), "above 0.5", ""),
    ]
    parts: list[Image] = []
    for kind, panel, title, note in steps:
        caption = beside([text(title, bold=True), text(note, 0.9, MUTED)], 6, "end")
        if caption.shape[1] > panel.shape[1]:
            caption = text(title, bold=True)
        parts += [_between(kind, view), above([panel, caption], align="centre")]
    return beside(parts, 4)


def _key(limit: float) -> Image:
    """The key that says what the colours mean."""
    ramp = np.linspace(0, 1, 300, dtype=np.float32)[None]
    strength = diverging(2 * ramp - 1, 1)
    return above(
        [
            scale_bar(
                strength,
                [f"-{limit:.2g} or less", "0", f"+{limit:.2g} or more"],
                "terms and sum: blue takes away, red adds",
            ),
            scale_bar(sequential(ramp), ["0", "0.5", "1"], "probability"),
        ],
        GAP,
    )


def _between(kind: Sign, view: View) -> Image:
    """A sign halfway up a panel."""
    mark = sign(kind)
    above_it = max(0, (view.shape[0] - mark.shape[0]) // 2)
    return np.pad(mark, ((above_it, 0), (0, 0), (0, 0)), constant_values=PAPER[0])


def _boxed(panel: Image, view: View, box: FloatArray) -> Image:
    """A copy with the instance's box drawn on it, in a line that shows on any colour."""
    result = framed(panel)
    cv2.rectangle(result, *view.rectangle(box), PAPER, 3)
    cv2.rectangle(result, *view.rectangle(box), INK, 1)
    return result


def _cut_out(image: Image, mask: BoolArray, color: Color) -> Image:
    """The instance in its own colours, all else fading into the paper, an outline between them."""
    faded = np.rint(0.25 * image + 0.75 * 255).astype(np.uint8)
    result = np.where(mask[..., None], image, faded)
    contours, _ = cv2.findContours(np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, contours, -1, color, 2)
    return result


def _limit(composition: Composition) -> float:
    """Strength at which colours saturate, the same for all terms of an instance and their sum.

    Most values inside the box are below it. Outside, trained networks take away so much that next to it nothing inside
    would have any colour.
    """
    inside = composition.inside if composition.inside.any() else np.ones_like(composition.inside)
    parts = np.stack([*composition.terms, composition.rest, composition.logits])
    return float(np.percentile(np.abs(parts[:, inside]), 99))
