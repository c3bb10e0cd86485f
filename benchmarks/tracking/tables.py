"""What was measured of tracking, in Markdown."""

from __future__ import annotations

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
