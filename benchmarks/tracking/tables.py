"""What was measured of tracking, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]


def association(figures: Figures) -> str:
    """A row for each tracker, a group of columns for each kind of video."""
    kinds = list(next(iter(figures["trackers"].values())))
    head = ["", *(f"{kind}: {name}" for kind in kinds for name in ("HOTA", "IDF1", "switches")), "ms a frame"]
    rows = []
    for name, results in figures["trackers"].items():
        cells = [
            cell
            for kind in kinds
            for cell in (
                f"{100 * results[kind]['hota']:.1f}",
                f"{100 * results[kind]['idf1']:.1f}",
                f"{results[kind]['switches']}",
            )
        ]
        rows.append((f"`{name}`", *cells, f"{max(results[kind]['ms_a_frame'] for kind in kinds):.1f}"))
    return table(head, rows)


_CALM = ("iou", "iou_p5", "lost", "box", "area", "score")


def motions(model: str) -> Callable[[Figures], str]:
    """Stability of a model on photos, two rows for each motion."""

    def render(figures: Figures) -> str:
        head = (f"{model}: motion", "", "IoU", "IoU 5 %", "lost", "box", "area", "score")
        rows = [
            (name if way == "as_found" else "", way.replace("_", " "), *(f"{100 * values[key]:.2f}" for key in _CALM))
            for name, ways in figures[model]["motions"].items()
            for way, values in ways.items()
        ]
        return table(head, rows)

    return render


def films(model: str) -> Callable[[Figures], str]:
    """Tracks, average precision and stability of a model in annotated films, a row for each way."""

    def render(figures: Figures) -> str:
        head = (
            model,
            "HOTA",
            "IDF1",
            "switches",
            "box AP",
            "mask AP",
            "IoU",
            "IoU 5 %",
            "lost",
            "box",
            "area",
            "score",
        )
        rows = [
            (
                way,
                f"{100 * values['hota']:.2f}",
                f"{100 * values['idf1']:.2f}",
                f"{values['switches']}",
                f"{100 * values['box_ap']:.2f}",
                f"{100 * values['mask_ap']:.2f}",
                *(f"{100 * values['stability'][key]:.2f}" for key in _CALM),
            )
            for way, values in figures[model]["videos"].items()
        ]
        return table(head, rows)

    return render
