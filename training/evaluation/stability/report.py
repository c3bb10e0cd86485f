"""What was measured of stability: lines, JSON and a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yolact.runtime.wording import count_noun
from yolact.training.evaluation.stability.motions import MOTIONS
from yolact.training.evaluation.stability.photos import WAYS, PhotoStability, Way
from yolact.training.evaluation.stability.steps import MATCHED_IOU, Stability
from yolact.training.evaluation.stability.videos import WayFigures
from yolact.training.pages.page import figure, render_page, table, text
from yolact.training.pages.svg import Axes, label, svg

_TITLES = ("IoU", "IoU 5 %", "floor", "lost", "box", "area", "score")
_COLOURS: dict[Way, str] = {"as found": "var(--orange)", "smoothed": "var(--blue)"}
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
                way.replace(" ", "_"): {
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
    yield f"{'':<12}{'':<10}" + "".join(f"{title:>9}" for title in _TITLES) + f"{'instances':>11}"
    for name, ways in measured.figures.items():
        for way, figures in ways.items():
            cells = "".join(f"{cell:>9}" for cell in _cells(figures))
            yield f"{name if way == WAYS[0] else '':<12}{way:<10}{cells}{figures.instances:>11}"


def _cells(figures: Stability) -> list[str]:
    values = (figures.iou, figures.iou_p5, figures.floor, figures.lost, figures.box, figures.area, figures.score)
    return ["-" if value is None else f"{100 * value:.2f}" for value in values]


def video_summary(measured: Mapping[Way, WayFigures], videos: int) -> Iterator[str]:
    """Lines of the figures of annotated videos, in percent."""
    titles = ("HOTA", "IDF1", "switches", "box AP", "mask AP", *(title for title in _TITLES if title != "floor"))
    yield f"{count_noun(videos, 'video')}, in percent; HOTA and IDF1 are means over the videos"
    yield ""
    yield f"{'':<10}" + "".join(f"{title:>9}" for title in titles)
    for way, figures in measured.items():
        shares = [figures.mean("hota"), figures.mean("idf1"), figures.scores.box.ap, figures.scores.mask.ap]
        hota, idf1, *precision = ("-" if share is None else f"{100 * share:.2f}" for share in shares)
        calm = _cells(figures.stability)
        cells = [hota, idf1, str(sum(one.switches for one in figures.tracks)), *precision, *calm[:2], *calm[3:]]
        yield f"{way:<10}" + "".join(f"{cell:>9}" for cell in cells)


def page(measured: PhotoStability, model: str, source: str) -> str:
    """An HTML page that needs no other file."""
    rows = [
        (name, way, *_cells(figures), str(figures.instances))
        for name, ways in measured.figures.items()
        for way, figures in ways.items()
    ]
    parts = [
        f"<h1>{text(f'Stability of {model} on {source}')}</h1>",
        f"<p>{text(_explained(measured))}</p>",
        table(("motion", "", *_TITLES, "instances"), rows),
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
        "change of a box's sides in shares of its size, of a mask's area, and of the score. What is shown is what "
        "yolact-infer shows by default, and what it shows with --smooth."
    )


def _curve(measured: PhotoStability, name: str, title: str) -> str:
    """Figures of each step, both ways."""
    axes = Axes(48, 26, 460, 170, max(1, measured.frames - 1), 1)
    ticks = sorted({1, (measured.frames - 1) // 2 or 1, measured.frames - 1})
    parts = [axes.grid(ticks, (0, 0.25, 0.5, 0.75, 1)), axes.titles("frame", title)]
    for index, (way, colour) in enumerate(_COLOURS.items()):
        values = [(step, _CURVES[title](at)) for step, at in enumerate(measured.over_time[name][way], 1)]
        known = [(step, value) for step, value in values if value is not None]
        parts.append(axes.curve([step for step, _ in known], [value for _, value in known], colour, way))
        parts.append(label(70 + 90 * index, 16, way, "start", colour))
    return svg(480, 206, f"{title} over time: {name}", parts)
