"""The charts of a report: precision over recall, calibration, histograms, confusion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yolact.training.evaluation.calibration import BINS, Calibration
from yolact.training.evaluation.confusion import Confusion
from yolact.training.pages.svg import Axes, box, label, line, svg

Array = NDArray[np.float64]

_RECALLS = np.linspace(0, 1, 101)
_FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1)
_BLUE, _ORANGE = "var(--blue)", "var(--orange)"
_MOST_LETTERS = 16  # of a class's name beside the confusion matrix
_MOST_NUMBERED = 12  # classes up to which the matrix has room for numbers


def precision_recall(by_iou: Array, names: Sequence[str], described: str) -> str:
    """A curve for each IoU threshold; `by_iou` is (T, R), and so many names stand in the legend."""
    axes = Axes(48, 10, 400, 270)
    parts = [axes.grid(_FIFTHS, _FIFTHS), axes.titles("recall", "precision")]
    for index, (curve, name) in enumerate(zip(by_iou, names, strict=True)):
        colour = f"hsl({225 - 22 * index} 75% 55%)"  # from blue to orange, by way of green
        parts.append(axes.curve(_RECALLS.tolist(), curve.tolist(), colour, name))
        parts.append(line(412, 18 + 17 * index, 428, 18 + 17 * index, colour, width=3))
        parts.append(label(433, 22 + 17 * index, name, "start", "var(--ink)"))
    return svg(530, 306, described, parts)


def class_precision_recall(curves: Array, title: str) -> str:
    """A small chart of one class, (2, R): at IoU 0.5 in blue, at 0.75 in orange."""
    axes = Axes(4, 4, 156, 106)
    parts = [axes.grid(), line(4, 55, 156, 55), line(80, 4, 80, 106)]
    for curve, colour in zip(curves[::-1], (_ORANGE, _BLUE), strict=True):
        parts.append(axes.curve(_RECALLS.tolist(), curve.tolist(), colour, width=2))
    return svg(160, 110, title, parts)


def reliability(calibration: Calibration) -> str:
    """The share of right detections by score, beside the line where it equals the score."""
    axes = Axes(48, 10, 350, 230)
    parts = [axes.grid(_FIFTHS, _FIFTHS), axes.titles("score", "share of right detections")]
    for index in np.flatnonzero(calibration.counts).tolist():
        right, mean = calibration.precisions[index], calibration.mean_scores[index]
        words = (
            f"{calibration.counts[index]} detections that score {mean:.3f} on average: {100 * right:.1f} % are right"
        )
        left, width = axes.x(index / BINS) + 1, axes.x(1 / BINS) - axes.left - 2
        parts.append(box(left, axes.y(right), width, axes.bottom - axes.y(right), _BLUE, words, 0.75))
        parts.append(line(left, axes.y(mean), left + width, axes.y(mean), _ORANGE, width=2.5))
    parts.append(line(axes.x(0), axes.y(0), axes.x(1), axes.y(1), "var(--soft)", dash="2 4"))
    return svg(364, 266, "Reliability diagram: share of right detections by score", parts)


def histogram(counts: NDArray[np.int64], edges: Sequence[str], titles: tuple[str, str], x_title: str) -> str:
    """Two bars in each bin, (bins, 2), on a scale of square roots, which shows few beside many."""
    most = max(1, int(counts.max(initial=1)))
    axes = Axes(48, 10, 350, 230, len(counts), most**0.5)
    parts = [axes.grid(), axes.titles(x_title, "count (square-root scale)")]
    for tick in _round_numbers(most):
        parts.append(line(axes.left, axes.y(tick**0.5), axes.right, axes.y(tick**0.5)))
        parts.append(label(axes.left - 5, axes.y(tick**0.5) + 4, f"{tick}", "end"))
    step = axes.x(1) - axes.x(0)
    for index, pair in enumerate(counts.tolist()):
        for side, (count, title, colour) in enumerate(zip(pair, titles, (_BLUE, _ORANGE), strict=True)):
            left, top = axes.x(index) + step * (0.08 + 0.42 * side), axes.y(count**0.5)
            words = f"{x_title} from {edges[index]}: {count} {title}"
            parts.append(box(left, top, 0.42 * step, axes.bottom - top, colour, words))
    for index in range(0, len(counts), max(1, len(counts) // 10)):
        parts.append(label(axes.x(index), axes.bottom + 14, edges[index]))
    return svg(364, 266, f"Histogram: {titles[0]} and {titles[1]} by {x_title}", parts)


def _round_numbers(most: int) -> list[int]:
    """A few numbers up to `most` with a single digit before their noughts, far enough apart on a scale of roots."""
    candidates = [digit * 10**power for power in range(len(str(most)) - 1, -1, -1) for digit in (5, 2, 1)]
    chosen: list[int] = []
    for value in candidates:
        if value <= most and (not chosen or chosen[-1] ** 0.5 - value**0.5 > 0.1 * most**0.5):
            chosen.append(value)
    return [value for value in [*chosen, 0] if value == 0 or value**0.5 > 0.1 * most**0.5]


def confusion_matrix(confusion: Confusion, names: Sequence[str]) -> str:
    """Annotated classes in rows by detected classes in columns, the background last; shades are shares of a row."""
    titles = [*names, "background"]
    side = 44.0 if len(titles) <= _MOST_NUMBERED else max(11.5, 44.0 * _MOST_NUMBERED / len(titles))
    left, top = 40.0 + 6.2 * min(_MOST_LETTERS, max(map(len, titles))), 8.0
    end = side * len(titles)
    parts = [box(left, top, end, end, "var(--panel)")]
    for index, name in enumerate(titles):
        middle, shown = side * (index + 0.5), _short(name)
        missing = {"x": "missed", "y": "nothing there"} if index == len(names) else {"x": shown, "y": shown}
        parts.append(label(left - 5, top + middle + 4, missing["y"], "end", "var(--ink)"))
        parts.append(label(left + middle + 4, top + end + 6, missing["x"], "end", "var(--ink)", turn=-90))
    for edge in (0.0, end - side, end):
        parts.append(line(left + edge, top, left + edge, top + end))
        parts.append(line(left, top + edge, left + end, top + edge))
    for row, column in np.argwhere(confusion.counts).tolist():
        parts.append(_cell(confusion, titles, (row, column), (left + side * column, top + side * row), side))
    parts.append(label(12, top + end / 2, "annotated class", turn=-90))
    height = top + end + left - 14
    parts.append(label(left + end / 2, height - 4, "detected class"))
    return svg(left + end + 8, height, "Confusion matrix", parts)


def _cell(
    confusion: Confusion, titles: Sequence[str], place: tuple[int, int], corner: tuple[float, float], side: float
) -> str:
    row, column = place
    count, total, last = int(confusion.counts[place]), int(confusion.counts[row].sum()), len(titles) - 1
    share = count / total
    there = "detections without an object" if row == last else f"{titles[row]}"
    seen = "missed" if column == last else f"detected as {titles[column]}"
    words = f"{there}: {count} of {total} {seen}, {100 * share:.0f} %"
    drawn = box(*corner, side, side, _BLUE if row == column else _ORANGE, words, 0.2 + 0.8 * share)
    if side < 30:
        return drawn
    colour = "var(--paper)" if share > 0.5 else "var(--ink)"
    return drawn + label(corner[0] + side / 2, corner[1] + side / 2 + 4, str(count), colour=colour)


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
