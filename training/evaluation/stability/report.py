"""The figures of stability: lines, JSON and a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from yolact.runtime.wording import count_noun
from yolact.training.evaluation.stability.film_page import COLOURS
from yolact.training.evaluation.stability.motions import MOTIONS
from yolact.training.evaluation.stability.photos import PhotoStability
from yolact.training.evaluation.stability.steps import MATCHED_IOU, Stability
from yolact.training.evaluation.stability.ways import WAYS, json_key
from yolact.training.pages.page import figure, render_page, table, text
from yolact.training.pages.svg import Axes, label, svg

TITLES = ("IoU", "IoU 5 %", "floor", "lost", "box", "area", "score")
"""Titles of the figures that every table of stability has."""

_CURVES: dict[str, Callable[[Stability], float | None]] = {
    "mask IoU": lambda figures: figures.iou,
    "share lost": lambda figures: figures.lost,
}


def to_json_values(measured: PhotoStability) -> dict[str, Any]:
    """All figures; those of `over_time` from the first step on."""
    return {
        "photos": measured.photos,
        "frames": measured.frames,
        "matched_iou": MATCHED_IOU,
        "motions": {
            name: {
                json_key(way): {
                    **measured.figures[name][way].to_json(),
                    "over_time": [figures.to_json() for figures in measured.over_time[name][way]],
                }
                for way in WAYS
            }
            for name in measured.figures
        },
    }


def summary(measured: PhotoStability) -> Iterator[str]:
    """Lines of the figures, in percent."""
    yield f"{count_noun(measured.photos, 'photo')}, {count_noun(measured.frames, 'frame')} of each motion, in percent"
    yield ""
    yield f"{'':<12}{'':<10}" + "".join(f"{title:>9}" for title in TITLES) + f"{'instances':>11}"
    for name, ways in measured.figures.items():
        for way, figures in ways.items():
            row = "".join(f"{cell:>9}" for cell in cells(figures))
            yield f"{name if way == WAYS[0] else '':<12}{way:<10}{row}{figures.instances:>11}"


def cells(figures: Stability) -> list[str]:
    """The figures of TITLES in percent."""
    values = (figures.iou, figures.iou_p5, figures.floor, figures.lost, figures.box, figures.area, figures.score)
    return ["-" if value is None else f"{100 * value:.2f}" for value in values]


def page(measured: PhotoStability, model: str, source: str) -> str:
    """An HTML page that needs no other file."""
    rows = [
        (name, way, *cells(figures), str(figures.instances))
        for name, ways in measured.figures.items()
        for way, figures in ways.items()
    ]
    parts = [
        f"<h1>{text(f'Stability of {model} on {source}')}</h1>",
        f"<p>{text(_explained(measured))}</p>",
        table(("motion", "", *TITLES, "instances"), rows),
    ]
    for name, motion in MOTIONS.items():
        parts.append(f"<h2>{text(f'{name}: {motion.words}')}</h2>")
        parts += ['<div class="large charts">', *(_curve(measured, name, title) for title in _CURVES), "</div>"]
        for way in WAYS:
            pictures = [
                figure(jpeg, f"{way}, frame {frame}", f"{measured.strip_of[name]}, {way}, frame {frame}")
                for frame, jpeg in measured.strip[name][way]
            ]
            parts += ['<div class="pictures">', *pictures, "</div>"]
        parts.append(f'<p class="soft">{text(f"{measured.strip_of[name]}, around its worst step")}</p>')
    return render_page(f"Stability of {model}", parts)


def _explained(measured: PhotoStability) -> str:
    films = f"{count_noun(measured.photos, 'photo')} became films of {count_noun(measured.frames, 'frame')}"
    return (
        f"{films} whose motion is exactly known. Each instance's mask is moved by it and compared with the next one's."
        f" In percent: the IoU of masks that match (from IoU {MATCHED_IOU:g}), its 5th percentile, the IoU that moving "
        "masks there and back leaves (floor), the share of instances that are not found again (lost), and the mean "
        "change of a box's sides in shares of its size, of a mask's area, and of the score. The pictures show "
        "detections as yolact-infer does by default and with --smooth."
    )


def _curve(measured: PhotoStability, name: str, title: str) -> str:
    """Figures of each step, both ways."""
    axes = Axes(48, 26, 460, 170, max(1, measured.frames - 1), 1)
    ticks = sorted({1, (measured.frames - 1) // 2 or 1, measured.frames - 1})
    parts = [axes.grid(ticks, (0, 0.25, 0.5, 0.75, 1)), axes.titles("frame", title)]
    for index, (way, colour) in enumerate(COLOURS.items()):
        values = [(step, _CURVES[title](at)) for step, at in enumerate(measured.over_time[name][way], 1)]
        known = [(step, value) for step, value in values if value is not None]
        parts.append(axes.curve([step for step, _ in known], [value for _, value in known], colour, way))
        parts.append(label(70 + 90 * index, 16, way, "start", colour))
    return svg(480, 206, f"{title} over time: {name}", parts)
