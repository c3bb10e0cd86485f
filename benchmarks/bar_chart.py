"""A bar chart as an SVG of rectangles: the same text for the same figures, so that git shows what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _ROW, _TOP, _LONGEST = 520, 42, 44, 430

_STYLE = """\
  <style>
    .paper { fill: #fff; } text { fill: #263238; } .bar { fill: #90a4ae; } .ours { fill: #00897b; }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #1e2129; } text { fill: #eceff1; } .bar { fill: #78909c; } .ours { fill: #26a69a; }
    }
  </style>"""


class Bar(NamedTuple):
    """One row of the chart.

    Attributes:
        label: stands above the bar.
        length: in the chart's unit; None where nothing was measured, and then `note` says why.
        ours: the bar belongs to this project and is coloured so.
        note: stands behind the bar.
    """

    label: str
    length: float | None
    ours: bool
    note: str


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """The chart, 520 pixels wide, on paper of its own that follows the reader's light or dark colours."""
    height = _TOP + _ROW * len(bars) + 6
    longest = max((bar.length for bar in bars if bar.length is not None), default=1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}" font-family="sans-serif" font-size="13">',
        _STYLE,
        f'  <rect class="paper" width="{_WIDTH}" height="{height}"/>',
        f'  <text x="10" y="24" font-weight="bold">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        lines += _row(bar, _TOP + _ROW * number, longest)
    return "\n".join([*lines, "</svg>", ""])


def _row(bar: Bar, top: int, longest: float) -> list[str]:
    width = 0.0 if bar.length is None else round(_LONGEST * bar.length / longest, 1)
    kind = "ours" if bar.ours else "bar"
    return [
        f'  <text x="10" y="{top + 12}">{escape(bar.label)}</text>',
        f'  <rect class="{kind}" x="10" y="{top + 18}" width="{width:g}" height="14"/>',
        f'  <text x="{16 + width:g}" y="{top + 30}">{escape(bar.note)}</text>',
    ]
