"""`curves.png`: losses, average precision and learning rate over the iterations of a run."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from yolact.training.story.metrics_table import AP_COLUMNS, MetricsTable, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"

_COLORS = {
    "total": "#222222",
    "box": "#1f77b4",
    "mask": "#d62728",
    "confidence": "#2ca02c",
    "segmentation": "#9467bd",
    "mask_iou": "#ff7f0e",
}
_AP_COLORS = dict(zip(AP_COLUMNS, ("#1f77b4", "#d62728"), strict=True))

_SETTLED = 0.03
"""Share of the run at its beginning whose losses may reach out of the picture, as they would flatten all others."""

_FEW = 40
"""Points up to which each is marked."""


def draw_curves(table: MetricsTable, title: str) -> bytes:
    """A PNG of 1000 x 1000 pixels, of at least one row; average precision has a panel where there is any.

    Nothing of matplotlib's state is touched, and no display is needed: the figure has a canvas of its own.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it logs the fonts that it looks for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = [name for name in ("total", *table.columns) if name in _COLORS]
    measured = [row for row in table.rows if row.get(AP_COLUMNS[1]) is not None]
    heights = [3, 2, 1] if measured else [3, 1]
    figure = Figure(figsize=(10, 10), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    panels[0].set_title(title, loc="left")
    for name in dict.fromkeys(losses):
        _plot(panels[0], table.rows, name, _COLORS[name], linewidth=2 if name == "total" else 1.3)
    panels[0].set_ylim(0, _top(table.rows))
    panels[0].set_ylabel("loss")
    if measured:
        for name, color in _AP_COLORS.items():
            _plot(panels[1], measured, name, color, marker="o")
        panels[1].set_ylabel("AP on the validation data, %")
        panels[1].set_ylim(0, max(1.0, 1.1 * max(row[name] or 0 for row in measured for name in AP_COLUMNS)))
    _plot(panels[-1], table.rows, "learning_rate", "#222222")
    panels[-1].set_ylabel("learning rate")
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_xlabel("iteration")
    for panel in panels:
        panel.grid(color="#dddddd")
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[:-1]:
        panel.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _plot(panel: Axes, rows: Sequence[Row], name: str, color: str, **style: Any) -> None:
    points = [(row["iteration"], row[name]) for row in rows if row.get(name) is not None]
    if points:
        style = {"marker": "." if len(points) <= _FEW else None, **style}
        panel.plot(*zip(*points, strict=True), color=color, label=name.replace("_", " "), **style)


def _top(rows: Sequence[Row]) -> float:
    end = rows[-1]["iteration"] or 0
    settled = [row["total"] or 0 for row in rows if (row["iteration"] or 0) > _SETTLED * end]
    return 1.05 * max(settled, default=0) or 1
