"""Charts as SVG inside a page, in the page's own colours, so that they follow it into the dark and onto paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from yolact.training.pages.page import text

Anchor = Literal["start", "middle", "end"]


def svg(width: float, height: float, described: str, shapes: Iterable[str]) -> str:
    """A chart as wide as its place; `described` is its description, for those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text(described)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(shapes)}</svg>'
    )


def line(
    x1: float, y1: float, x2: float, y2: float, colour: str = "var(--grid)", *, width: float = 1, dash: str = ""
) -> str:
    """A straight line; `dash` as SVG has it."""
    dashed = (f";stroke-width:{width:g}" if width != 1 else "") + (f";stroke-dasharray:{dash}" if dash else "")
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" style="stroke:{colour}{dashed}"/>'


def label(x: float, y: float, words: str, anchor: Anchor = "middle", colour: str = "var(--soft)", turn: int = 0) -> str:
    """Words whose foot is at this place, turned by so many degrees."""
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{colour}"{turned}>{text(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str, title: str = "", opacity: float = 1) -> str:
    """A rectangle; the title shows under the mouse."""
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    shape += f' style="fill:{colour}' + ('"' if opacity >= 1 else f';fill-opacity:{opacity:.2f}"')
    return f"{shape}><title>{text(title)}</title></rect>" if title else f"{shape}/>"


class Axes(NamedTuple):
    """The area of a chart between its axes, both from 0 to `most`.

    Attributes:
        left, top, right, bottom: of the area, in units of the chart.
        x_most, y_most: the values at its right and upper ends.
    """

    left: float
    top: float
    right: float
    bottom: float
    x_most: float = 1
    y_most: float = 1

    def x(self, value: float) -> float:
        """The position of a value, from the left."""
        return self.left + (self.right - self.left) * value / self.x_most

    def y(self, value: float) -> float:
        """The position of a value, from above."""
        return self.bottom - (self.bottom - self.top) * value / self.y_most

    def curve(self, xs: Sequence[float], ys: Sequence[float], colour: str, title: str = "", width: float = 1.6) -> str:
        """A line through these values."""
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        shape = f'<polyline points="{points}" style="fill:none;stroke:{colour};stroke-width:{width:g}"'
        return f"{shape}><title>{text(title)}</title></polyline>" if title else f"{shape}/>"

    def grid(self, x_ticks: Sequence[float] = (), y_ticks: Sequence[float] = ()) -> str:
        """Lines at these values, with the values beside them, and the two axes."""
        parts = []
        for value in x_ticks:
            parts.append(line(self.x(value), self.top, self.x(value), self.bottom))
            parts.append(label(self.x(value), self.bottom + 14, f"{value:g}"))
        for value in y_ticks:
            parts.append(line(self.left, self.y(value), self.right, self.y(value)))
            parts.append(label(self.left - 5, self.y(value) + 4, f"{value:g}", "end"))
        parts.append(line(self.left, self.bottom, self.right, self.bottom, "var(--soft)"))
        parts.append(line(self.left, self.top, self.left, self.bottom, "var(--soft)"))
        return "".join(parts)

    def titles(self, x_title: str, y_title: str) -> str:
        """The titles of the axes."""
        middle = (self.top + self.bottom) / 2
        return label((self.left + self.right) / 2, self.bottom + 30, x_title) + label(13, middle, y_title, turn=-90)
