"""A bar chart of the cost of quantising each part of a network, as PNG or SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Literal, NamedTuple

import cv2
import numpy as np

from yolact.runtime.errors import YolactError
from yolact.runtime.images.lettering import Lettering
from yolact.runtime.wording import printable

_WIDTH, _RIGHT, _TOP, _BOTTOM = 960, 90, 66, 38
_ROW, _BAR = 20, 13
_MARGIN = 12
_LETTER = 7.4  # pixels that a letter of a row's name takes at most
_SCALE = 2  # pixels of a PNG to one of the layout
_INK, _PALE, _GRID = "#24292f", "#57606a", "#e4e8ec"

Kind = Literal["excluded", "quantised", "untouched"]

_KINDS: dict[Kind, tuple[str, str]] = {
    "excluded": ("#d9730d", "to exclude"),
    "quantised": ("#1446e6", "stays in INT8"),
    "untouched": ("#a5b0bb", "not asked for in INT8"),
}
"""Colour and text in the legend."""


class Bar(NamedTuple):
    """One part: its name, its cost (infinite where the network breaks), and whether it is to be quantised."""

    name: str
    cost: float
    kind: Kind


class _Text(NamedTuple):
    x: float
    y: float  # of the base line
    text: str
    colour: str = _INK
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False


class _Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    colour: str


_Shape = _Text | _Box


def draw_chart(bars: Sequence[Bar], title: str, axis: str, suffix: str) -> bytes:
    """The contents of a file.

    Args:
        bars: from top to bottom.
        title: line above.
        axis: the quantity that the length of a bar shows.
        suffix: `.png` or `.svg`.
    """
    height = _TOP + _ROW * len(bars) + _BOTTOM
    shapes = list(_layout(bars, title, axis, height))
    return _svg(shapes, height, title) if suffix == ".svg" else _png(shapes, height)


def _layout(bars: Sequence[Bar], title: str, axis: str, height: int) -> Iterator[_Shape]:
    left = 2 * _MARGIN + round(_LETTER * max(len(bar.name) for bar in bars))
    ticks = _ticks([bar.cost for bar in bars if math.isfinite(bar.cost)])
    first, last = ticks[0], ticks[-1]

    def x(cost: float) -> float:
        return left + (_WIDTH - _RIGHT - left) * (min(cost, last) - first) / (last - first)

    yield _Text(_MARGIN, 24, title, bold=True)
    yield from _legend([kind for kind in _KINDS if kind in {bar.kind for bar in bars}])
    for tick in ticks:
        yield _Box(x(tick) - 0.5, _TOP - 4, 1, height - _BOTTOM - _TOP + 8, _PALE if tick == 0 else _GRID)
        yield _Text(x(tick), height - _BOTTOM + 18, f"{tick:g}", _PALE, "middle")
    yield _Text((left + _WIDTH - _RIGHT) / 2, height - 5, axis, _PALE, "middle")
    for row, bar in enumerate(bars):
        top = _TOP + row * _ROW + (_ROW - _BAR) / 2
        yield _Text(left - _MARGIN, top + _BAR - 2.5, bar.name, anchor="end")
        start, stop = sorted((x(0), x(bar.cost)))
        yield _Box(start, top, max(stop - start, 1), _BAR, _KINDS[bar.kind][0])
        label = f"{bar.cost:.3g}" if math.isfinite(bar.cost) else "breaks"
        yield _Text(stop + 5, top + _BAR - 2.5, label, _PALE)


def _legend(kinds: Sequence[Kind]) -> Iterator[_Shape]:
    """The legend; left out where all bars are of one kind."""
    for place, kind in enumerate(kinds if len(kinds) > 1 else []):
        colour, text = _KINDS[kind]
        yield _Box(_MARGIN + 120 * place, 38, _BAR, _BAR, colour)
        yield _Text(_MARGIN + 120 * place + _BAR + 6, 49, text, _PALE)


def _ticks(costs: Sequence[float]) -> list[float]:
    """Round numbers around all costs and zero."""
    low, high = min([0.0, *costs]), max([0.0, *costs])
    rough = max(high - low, 1e-9) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    begin, end = math.floor(low / step + 1e-6), max(math.ceil(high / step - 1e-6), 1)
    return [round(index * step, 12) for index in range(begin, end + 1)]


def _svg(shapes: Sequence[_Shape], height: int, title: str) -> bytes:
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(printable(title))}" font-family="system-ui, sans-serif" font-size="12" '
        'xmlns="http://www.w3.org/2000/svg">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for shape in shapes:
        if isinstance(shape, _Box):
            x, y, width, tall, colour = shape
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{colour}"/>')
        else:
            weight = ' font-weight="600"' if shape.bold else ""
            parts.append(
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" fill="{shape.colour}"{weight}>'
                f"{escape(printable(shape.text))}</text>"
            )
    return "\n".join([*parts, "</svg>\n"]).encode()


def _png(shapes: Sequence[_Shape], height: int) -> bytes:
    canvas = np.full((_SCALE * height, _SCALE * _WIDTH, 3), 255, np.uint8)
    for shape in shapes:
        blue, green, red = (int(shape.colour[at : at + 2], 16) for at in (5, 3, 1))
        colour = (blue, green, red)
        if isinstance(shape, _Box):
            top, left = round(_SCALE * shape.y), round(_SCALE * shape.x)
            bottom, right = top + round(_SCALE * shape.height), left + max(round(_SCALE * shape.width), 1)
            canvas[top:bottom, left:right] = colour
        else:
            words = Lettering(shape.text, 0.4 * _SCALE, 2 if shape.bold else 1)
            shift = {"start": 0, "middle": words.width / 2, "end": words.width}[shape.anchor]
            words.draw(canvas, (round(_SCALE * shape.x - shift), round(_SCALE * shape.y)), colour)
    done, data = cv2.imencode(".png", canvas)
    if not done:
        raise YolactError("OpenCV cannot encode the chart as PNG; give --chart a name that ends in .svg")
    return data.tobytes()
