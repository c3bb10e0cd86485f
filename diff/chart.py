"""A chart of the error in every layer, as SVG that needs no other file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from yolact.diff.tensor_diff import TensorDiff

WIDTH, HEIGHT = 1160, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 14, 58
_LEAST = 1e-8  # lower errors are drawn here: a logarithm has no zero


def draw_chart(layers: Sequence[TensorDiff], suspect: TensorDiff | None) -> str:
    """The relative error of every layer as a line, the error that each layer adds as bars, on a logarithmic scale."""
    top = max([1.0, *(diff.relative for diff in layers if math.isfinite(diff.relative))])
    decades = range(round(math.log10(_LEAST)), math.ceil(math.log10(top)) + 1)
    step = (WIDTH - _LEFT - _RIGHT) / len(layers)

    def y(value: float | None) -> float:
        exponent = math.log10(min(max(value or 0, _LEAST), 10 ** decades[-1]))
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (decades[-1] - exponent) / (decades[-1] - decades[0])

    centres = [_LEFT + (index + 0.5) * step for index in range(len(layers))]
    parts = [_grid(decades, y(10 ** decades[0]), [y(10**decade) for decade in decades]), *_sections(layers, step)]
    base = y(0)
    for diff, x in zip(layers, centres, strict=True):
        color = "var(--fail)" if diff is suspect else "var(--orange)"
        bar = f'<rect x="{x - 0.4 * step:.1f}" y="{y(diff.added):.1f}" width="{0.8 * step:.1f}"'
        parts.append(f'{bar} height="{base - y(diff.added):.1f}" style="fill:{color}"/>')
    points = " ".join(f"{x:.1f},{y(diff.relative):.1f}" for diff, x in zip(layers, centres, strict=True))
    parts.append(f'<polyline points="{points}" style="fill:none;stroke:var(--blue);stroke-width:1.5"/>')
    for diff, x in zip(layers, centres, strict=True):  # what the mouse finds, over everything
        column = f'<rect x="{x - 0.5 * step:.1f}" y="{_TOP}" width="{step:.1f}" height="{base - _TOP:.1f}"'
        parts.append(f'{column} fill="transparent"><title>{escape(_text(diff))}</title></rect>')
    if suspect is not None:
        parts.append(_label(suspect, centres[list(layers).index(suspect)]))
    described = "Relative error of every layer in network order, and the error that each layer adds itself"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{described}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def _text(diff: TensorDiff) -> str:
    return f"{diff.name}: relative error {diff.relative:.2g}, added {diff.added or 0:.2g}"


def _grid(decades: range, base: float, heights: Sequence[float]) -> str:
    lines = []
    for decade, height in zip(decades, heights, strict=True):
        lines.append(
            f'<line x1="{_LEFT}" y1="{height:.1f}" x2="{WIDTH - _RIGHT}" y2="{height:.1f}" style="stroke:var(--grid)"/>'
            f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end" style="fill:var(--soft)">'
            f"{_power(decade)}</text>"
        )
    lines.append(
        f'<line x1="{_LEFT}" y1="{base:.1f}" x2="{WIDTH - _RIGHT}" y2="{base:.1f}" style="stroke:var(--soft)"/>'
    )
    return "".join(lines)


def _power(decade: int) -> str:
    return f"{10**decade:g}" if decade >= -3 else f"1e{decade}"


def _sections(layers: Sequence[TensorDiff], step: float) -> list[str]:
    """Marks below the axis that say which part of the network the layers belong to."""
    starts = [i for i, diff in enumerate(layers) if i == 0 or _part(diff.name) != _part(layers[i - 1].name)]
    marks = []
    for start, stop in zip(starts, [*starts[1:], len(layers)], strict=True):
        left, right = _LEFT + start * step, _LEFT + stop * step
        line = HEIGHT - _BOTTOM + 8
        marks.append(
            f'<line x1="{left + 1:.1f}" y1="{line}" x2="{right - 1:.1f}" y2="{line}" style="stroke:var(--soft)"/>'
        )
        name = _part(layers[start].name)
        if right - left > 6.5 * len(name):
            middle = (left + right) / 2
            marks.append(
                f'<text x="{middle:.1f}" y="{line + 15}" text-anchor="middle" style="fill:var(--soft)">{name}</text>'
            )
    return marks


def _part(name: str) -> str:
    """The part of the network by the name of a module: `backbone.layers.1` is a stage."""
    module = name.split("/")[-1]
    words = module.split(".")
    if words[0] == "backbone":
        return ".".join(words[1:3]) if words[1:2] == ["layers"] else "stem"
    known = {"fpn": "FPN", "proto_net": "Protonet", "prediction_layers": "head", "maskiou_net": "re-scoring"}
    return known.get(words[0], "stem" if name.startswith("normalize/") or module == "MaxPool" else "heads")


def _label(suspect: TensorDiff, x: float) -> str:
    side, offset = ("end", -5) if x > WIDTH / 2 else ("start", 5)
    base = HEIGHT - 12
    return (
        f'<line x1="{x:.1f}" y1="{HEIGHT - _BOTTOM}" x2="{x:.1f}" y2="{base}" style="stroke:var(--fail)"/>'
        f'<text x="{x + offset:.1f}" y="{base}" text-anchor="{side}" style="fill:var(--fail);font-weight:600">'
        f"{escape(suspect.name)}</text>"
    )
