"""The results of the comparison of runtimes, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.bar_chart import Bar, bar_chart
from benchmarks.markdown import table

Figures = dict[str, Any]

MODELS = ("bins", "nuclei")
"""Names of the trained models in the figures."""

SPEED_HEAD = ("", "ms", "10 % to 90 %", "times as fast as eager", "peak memory, MB")


def everything(figures: Figures) -> str:
    """All tables of the comparison."""
    parts_shown = (end_to_end, heads, parts, ours, *map(trained, MODELS))
    return "\n\n".join(filter(None, (part(figures) for part in parts_shown)))


def end_to_end(figures: Figures) -> str:
    """Speed from an image to masks of its size."""
    rows = (_speed_row(row, "rounds" if row["rounded"] else _detections(row)) for row in figures["end_to_end"].values())
    return table((*SPEED_HEAD, "what it finds"), rows)


def trained(model: str) -> Callable[[Figures], str]:
    """The table of a trained model: speed from an image to masks of its size, beside average precision in points."""

    def render(figures: Figures) -> str:
        measured = figures.get("trained", {}).get(model)
        if measured is None:
            return ""
        head = (f"{measured['checkpoint']}, {measured['pictures']} pictures", *SPEED_HEAD[1:], "mask AP", "box AP")
        return table(head, (_trained_row(row) for row in measured["rows"].values()))

    return render


def _trained_row(row: Figures) -> tuple[Any, ...]:
    if "failed" in row:
        return (row["label"], _not_run(row))
    *speed, mask = _speed_row(row, f"{100 * row['ap']['mask']:.2f}")
    return (*speed, mask, f"{100 * row['ap']['box']:.2f}")


def milliseconds(figures: Figures) -> str:
    """The medians that `speed_chart` draws, in a sentence."""
    told = [
        f"{row['label']}: {_not_run(row) if 'failed' in row else format(row['ms']['median'], '.0f')}"
        for row in figures["end_to_end"].values()
    ]
    return f"Median of the milliseconds from an image to full-size masks: {'; '.join(told)}."


def speed_chart(figures: Figures) -> str:
    """An SVG of the times from an image to masks of its size."""
    bars = [
        Bar(
            row["label"].replace("`", ""),
            None if "failed" in row else row["ms"]["median"],
            name.startswith("ours"),
            _not_run(row) if "failed" in row else f"{row['ms']['median']:.0f} ms",
        )
        for name, row in figures["end_to_end"].items()
    ]
    return bar_chart("From an image to its masks on a CPU (shorter is faster)", bars)


def heads(figures: Figures) -> str:
    """Speed from pixels of the network's size to its heads."""
    rows = (_speed_row(row, "rounds" if row["rounded"] else _largest(row)) for row in figures["heads"].values())
    return table((*SPEED_HEAD, "largest difference"), rows)


def parts(figures: Figures) -> str:
    """Milliseconds of each part of a run, for the contenders whose parts are known."""
    rows = []
    for row in figures["end_to_end"].values():
        if "parts_ms" in row:
            values = row["parts_ms"]
            rows.append((row["label"], *(f"{values[part]:.1f}" for part in ("engine", "around", "masks"))))
    return table(("ms", "engine", "around it", "masks at image size"), rows)


def ours(figures: Figures) -> str:
    """Figures that are measured for this project's own runtime alone."""
    rows = []
    if "in_graph_postprocessing_ms" in figures:
        rows.append(("post-processing inside the graph, FP32", f"{figures['in_graph_postprocessing_ms']:.1f} ms"))
    if "large_photo" in figures:
        large = figures["large_photo"]
        height, width = large["size"]
        what = f"peak memory, {large['detections']} instances in a {width}x{height} photo and their masks in RLE"
        rows.append((what, f"{large['peak_memory_mb']:.0f} MB"))
    return table(("", ""), rows) if rows else ""


def _speed_row(row: Figures, finds: str) -> tuple[Any, ...]:
    if "failed" in row:
        return (row["label"], _not_run(row))
    ms, ratio = row["ms"], row.get("times_as_fast")
    return (
        row["label"],
        f"{ms['median']:.0f}",
        f"{ms['p10']:.0f} to {ms['p90']:.0f}",
        None if ratio is None else f"{ratio:.2f}",
        f"{row['peak_memory_mb']:.0f}",
        finds,
    )


def _not_run(row: Figures) -> str:
    return f"not run: {row['failed']}"


def _detections(row: Figures) -> str:
    if "agreement" not in row:
        return ""
    agreement = row["agreement"]
    without = max(agreement["missed"], agreement["spurious"])
    found = f"all but {without} of" if without else "all"
    return f"{found} {agreement['detections']}, mask IoU {agreement['median_mask_iou']:.3f}"


def _largest(row: Figures) -> str:
    return f"{row['agreement']['largest_difference']:.1g}" if "agreement" in row else ""
