"""The figures of videos, annotated or not: lines, JSON and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yolact.runtime.wording import count_noun, printable
from yolact.training.evaluation.stability.film_page import FilmView, film_page
from yolact.training.evaluation.stability.flow import MOST_ASTRAY
from yolact.training.evaluation.stability.report import TITLES, cells
from yolact.training.evaluation.stability.steps import MATCHED_IOU, Stability
from yolact.training.evaluation.stability.unlabelled import VideoStability, mean_discarded
from yolact.training.evaluation.stability.videos import FilmFigures, VideoFigures, WayFigures
from yolact.training.evaluation.stability.ways import WAYS, Way, json_key

_LABELLED_TITLES = ("HOTA", "IDF1", "switches", "box AP", "mask AP", *(title for title in TITLES if title != "floor"))

_ALL = "all videos"

Row = tuple[str, ...]


def labelled_json_values(measured: VideoFigures) -> dict[str, Any]:
    """All figures of annotated videos."""
    return {json_key(way): one.to_json() for way, one in measured.ways.items()}


def labelled_summary(measured: Mapping[Way, WayFigures], videos: int) -> Iterator[str]:
    """Lines of the figures of annotated videos, in percent."""
    yield f"{count_noun(videos, 'video')}, in percent; HOTA and IDF1 are means over the videos"
    yield ""
    yield f"{'':<10}" + "".join(f"{title:>9}" for title in _LABELLED_TITLES)
    for way, figures in measured.items():
        yield f"{way:<10}" + "".join(f"{cell:>9}" for cell in _labelled_cells(figures))


def _labelled_cells(figures: WayFigures) -> list[str]:
    shares = [figures.mean("hota"), figures.mean("idf1"), figures.scores.box.ap, figures.scores.mask.ap]
    hota, idf1, *precision = map(_percent, shares)
    calm = cells(figures.stability)
    return [hota, idf1, str(sum(one.switches for one in figures.tracks)), *precision, *calm[:2], *calm[3:]]


def labelled_page(measured: VideoFigures, model: str, source: str) -> str:
    """An HTML page about annotated videos."""
    rows: list[Row] = [(_ALL, way, *_labelled_cells(one)) for way, one in measured.ways.items()]
    rows += [_film_row(film, way) for film in measured.films for way in WAYS]
    explained = (
        f"{count_noun(len(measured.films), 'annotated video')}, in percent: how well objects keep their ids (HOTA, "
        "IDF1, and how often an id changes), average precision of everything that the model keeps, and against the "
        "annotations the IoU of masks, its 5th percentile, the share of objects found in one frame and not in the next "
        "(lost), and by how much the errors of a box's sides, of a mask's area and the score change from one frame to "
        "the next. The pictures show detections as yolact-infer --track does by default and with --smooth."
    )
    films = [_labelled_view(film) for film in measured.films]
    title = f"Tracks and stability of {model} in {source}"
    return film_page(title, explained, ("video", "", *_LABELLED_TITLES), rows, films)


def _film_row(film: FilmFigures, way: Way) -> Row:
    tracks, calm = film.tracks[way], cells(Stability.of(film.steps[way]))
    kept = ["-"] * 3 if tracks is None else [_percent(tracks.hota), _percent(tracks.idf1), str(tracks.switches)]
    return (film.name, way, *kept, "-", "-", *calm[:2], *calm[3:])


def _labelled_view(film: FilmFigures) -> FilmView:
    times = list(range(len(film.steps["as found"])))
    found = film.tracks["as found"]
    facts = f"{count_noun(len(times), 'frame')}"
    if found is not None:
        facts += f", {count_noun(found.objects, 'object')} and {count_noun(found.tracks, 'track')} as found"
    return FilmView(film.name, facts, times, "frame", film.steps, film.strip)


def summary(videos: Sequence[VideoStability]) -> Iterator[str]:
    """Lines of the figures of videos without annotations, in percent."""
    for one in videos:
        yield f"{printable(one.name)}: {_facts(one)}"
    yield ""
    rows = list(_rows(videos))
    width = max(len(row[0]) for row in rows) + 2
    yield f"{'':<{width}}{'':<10}" + "".join(f"{title:>9}" for title in TITLES) + f"{'instances':>11}{'left out':>10}"
    for name, way, *values, instances, left_out in rows:
        shown = name if way == WAYS[0] else ""
        yield (
            f"{shown:<{width}}{way:<10}" + "".join(f"{value:>9}" for value in values) + f"{instances:>11}{left_out:>10}"
        )


def _facts(one: VideoStability) -> str:
    """How many frames, and how they were compared."""
    steps = len(one.times)
    share = mean_discarded([one])
    flow = "" if share is None else f"; the flow was discarded at {100 * share:.1f} % of pixels"
    if one.still_steps == steps:
        how = "nothing moves, so masks were compared where they are"
    elif one.still_steps == 0:
        how = "the picture moves, so masks were moved by optical flow"
    else:
        still = f"nothing moves in {one.still_steps} of {count_noun(steps, 'step')}"
        how = f"{still}, and in the others masks were moved by optical flow"
    return f"{count_noun(steps + 1, 'frame')}; {how}{flow}"


def _rows(videos: Sequence[VideoStability]) -> Iterator[Row]:
    """The figures of each video, and of all where there are several."""
    for one in videos:
        for way in WAYS:
            yield _row(printable(one.name), way, one.figures(way))
    if len(videos) > 1:
        for way in WAYS:
            yield _row(_ALL, way, Stability.of([step for one in videos for step in one.steps[way]]))


def _row(name: str, way: Way, figures: Stability) -> Row:
    return (name, way, *cells(figures), str(figures.instances), str(figures.left_out))


def page(videos: Sequence[VideoStability], model: str) -> str:
    """An HTML page about videos without annotations."""
    explained = (
        "Each instance's mask is compared with that of the next frame: where it is, in steps in which neither the "
        "camera nor an instance moves, else after it was moved by OpenCV's DIS optical flow. Pixels at which the way "
        f"there and back misses its beginning by more than {MOST_ASTRAY:g} pixels do not count, and instances more "
        "than half of which is discarded are left out. In percent: the IoU of masks that match (from IoU "
        f"{MATCHED_IOU:g}), its 5th percentile, the IoU that moving masks there and back leaves (floor), the share of "
        "instances that are not found again (lost), and the mean change of a box's sides in shares of its size, of a "
        "mask's area, and of the score. The pictures show detections as yolact-infer does by default and with --smooth."
    )
    titles = ("video", "", *TITLES, "instances", "left out")
    films = [FilmView(printable(one.name), _facts(one), one.times, "seconds", one.steps, one.strip) for one in videos]
    name = films[0].name if len(films) == 1 else count_noun(len(films), "video")
    return film_page(f"Stability of {model} in {name}", explained, titles, _rows(videos), films)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
