"""A page about films: figures over time, and some frames of each, the worst moments among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from yolact.training.evaluation.stability.steps import Stability, Step
from yolact.training.evaluation.stability.strip import StripFrame, badness
from yolact.training.evaluation.stability.ways import WAYS, Way
from yolact.training.pages.page import figure, render_page, table, text
from yolact.training.pages.svg import Axes, box, label, svg

COLOURS: dict[Way, str] = {"as found": "var(--orange)", "smoothed": "var(--blue)"}

MOST_FILMS = 12
"""Most films of a page: of more, those with the worst steps are shown, as pages carry their pictures."""

_MOST_POINTS = 240
"""Most points of a curve; in longer films neighbours are averaged."""

_CURVES: dict[str, Callable[[Stability], float | None]] = {
    "mask IoU": lambda figures: figures.iou,
    "share lost": lambda figures: figures.lost,
    "change of score": lambda figures: figures.score,
}


@dataclass(frozen=True)
class FilmView:
    """A film on the page.

    Attributes:
        name: of the film.
        facts: a sentence about it.
        times: where each step is on the axis of time.
        unit: of that axis.
        steps: in each way.
        strip: some frames.
    """

    name: str
    facts: str
    times: Sequence[float]
    unit: str
    steps: Mapping[Way, Sequence[Step]]
    strip: Sequence[StripFrame]


def film_page(
    title: str, explained: str, titles: Sequence[str], rows: Iterable[Sequence[str]], films: Sequence[FilmView]
) -> str:
    """An HTML page that needs no other file: a table, then each film."""
    worst = sorted(films, key=lambda film: -max(map(badness, film.steps["as found"]), default=0.0))[:MOST_FILMS]
    shown = [film for film in films if film in worst]
    parts = [f"<h1>{text(title)}</h1>", f"<p>{text(explained)}</p>", table(titles, rows)]
    if len(shown) < len(films):
        parts.append(f'<p class="soft">Of {len(films)} videos the {len(shown)} with the worst steps follow.</p>')
    for film in shown:
        parts += [f"<h2>{text(film.name)}</h2>", f"<p>{text(film.facts)}</p>", '<div class="charts">']
        parts += [*(_curve(film, curve) for curve in _CURVES), "</div>", *_pictures(film)]
    return render_page(title, parts)


def _pictures(film: FilmView) -> Iterable[str]:
    """The strip, a row for each way."""
    for way in WAYS:
        yield '<div class="pictures">'
        for frame in film.strip:
            caption = f"{way}, frame {frame.number}" + (", a worst step" if frame.is_worst else "")
            yield figure(frame.pictures[way], caption, f"{film.name}, {caption}")
        yield "</div>"


def _curve(film: FilmView, title: str) -> str:
    """A figure of each step in both ways."""
    lines = {way: _points(film, way, title) for way in WAYS}
    highest = max((value for points in lines.values() for _, value in points), default=0.0)
    top = 1.0 if title != "change of score" else next(top for top in (0.1, 0.2, 0.5, 1.0) if highest <= top)
    most = max([*film.times, 1e-3])
    axes = Axes(48, 26, 460, 170, most, top)
    digits = None if film.unit == "frame" else 2
    ticks = sorted({round(most * share, digits) for share in (0, 0.25, 0.5, 0.75, 1)})
    parts = [axes.grid(ticks, (0, top / 2, top)), axes.titles(film.unit, title)]
    for index, (way, points) in enumerate(lines.items()):
        parts.append(axes.curve([x for x, _ in points], [y for _, y in points], COLOURS[way], way))
        if len(points) == 1:  # which is no line
            parts.append(box(axes.x(points[0][0]) - 2, axes.y(points[0][1]) - 2, 4, 4, COLOURS[way], way))
        parts.append(label(70 + 90 * index, 16, way, "start", COLOURS[way]))
    return svg(480, 206, f"{title} over time: {film.name}", parts)


def _points(film: FilmView, way: Way, title: str) -> list[tuple[float, float]]:
    """The points of a curve; steps without the figure are left out."""
    width = -(-len(film.times) // _MOST_POINTS)
    points = []
    for start in range(0, len(film.times), max(width, 1)):
        value = _CURVES[title](Stability.of(film.steps[way][start : start + width]))
        if value is not None:
            points.append((fmean(film.times[start : start + width]), value))
    return points
