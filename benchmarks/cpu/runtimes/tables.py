"""The results of the comparison of runtimes, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.bar_chart import Bar, bar_chart
from benchmarks.markdown import table

Figures = dict[str, Any]

SPEED_HEAD = ("", "ms", "10 % to 90 %", "times as fast as eager", "peak memory, MB")


def everything(figures: Figures) -> str:
    """All tables of the comparison."""
    return "\n\n".join(filter(None, (part(figures) for part in (end_to_end, heads, parts, ours, accuracy))))


def end_to_end(figures: Figures) -> str:
    """Speed from an image to masks of its size. The last column of contenders that round is accuracy, not agreement."""
    judged = figures["accuracy"]["rows"]
    rows = (
        _speed_row(row, _accuracy(name, judged) if row["rounded"] else _detections(row))
        for name, row in figures["end_to_end"].items()
    )
    return table((*SPEED_HEAD, "what it finds"), rows)


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


def accuracy(figures: Figures) -> str:
    """Average precision of the demonstration model, in points."""
    measured = figures["accuracy"]
    rows = []
    for row in measured["rows"].values():
        if "failed" in row:
            rows.append((row["label"], _not_run(row)))
        else:
            rows.append((row["label"], *(f"{100 * row['ap'][kind]:.2f}" for kind in ("mask", "box"))))
    return table((measured["pictures"], "mask AP", "box AP"), rows)


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


def _accuracy(name: str, judged: Figures) -> str:
    """The demonstration model's mask AP by a contender, beside that in float32 where that was measured."""
    ap = judged.get(name, {}).get("ap")
    if ap is None:
        return ""
    exact = judged.get("ours-fp32", {}).get("ap")
    beside = "" if exact is None else f", in FP32 {100 * exact['mask']:.2f}"
    return f"mask AP {100 * ap['mask']:.2f}{beside}"


def _largest(row: Figures) -> str:
    return f"{row['agreement']['largest_difference']:.1g}" if "agreement" in row else ""
