"""The results of `yolact-bench`, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]


def stages(figures: Figures) -> str:
    """Times of the stages for each batch size."""
    rows = []
    for batch in figures["batches"]:
        for stage, values in batch["stages"].items():
            if values is not None:
                times = (f"{values[key]:.2f}" for key in ("p50_ms", "p90_ms", "p99_ms", "images_per_s"))
                rows.append((batch["batch"], stage.replace("_", " "), *times))
    return table(("batch", "stage", "p50, ms", "p90, ms", "p99, ms", "images/s"), rows)


def detections(figures: Figures) -> str:
    """Times of boxes and masks at image size by the number of detections."""
    found = figures["by_detections"]
    rows = ((row["detections"], f"{row['p50_ms']:.2f}", f"{row['p90_ms']:.2f}") for row in found["counts"])
    return table((f"detections, {found['width_px']}x{found['height_px']}", "p50, ms", "p90, ms"), rows)
