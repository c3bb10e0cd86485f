"""What was measured on a folder of photos, on a video and of deformable convolutions, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]

_ALONE = ("engine alone, one by one, images/s", "two at once, images/s")


def folder(figures: Figures) -> str:
    """The share of an engine's throughput that is left when files are read, drawn and written."""
    rows = (
        (
            name,
            f"{row['engine_per_second']:.2f}",
            f"{row['engine_at_once_per_second']:.2f}",
            f"{row['infer_per_second']:.2f}",
            f"{row['share']:.2f}",
            f"{row['share_at_once']:.2f}",
        )
        for name, row in figures["engines"].items()
    )
    return table((figures["images"], *_ALONE, "yolact-infer, images/s", "share of the first", "of the second"), rows)


def video(figures: Figures) -> str:
    """The share of an engine's throughput that a video reaches, and the median milliseconds of each stage."""
    stages = list(next(iter(figures["engines"].values()))["stages"])
    rows = (
        (
            name,
            f"{row['engine_images_per_s']:.2f}",
            f"{row['engine_at_once_images_per_s']:.2f}",
            f"{row['frames_per_s']:.2f}",
            f"{row['share_of_engine']:.2f}",
            f"{row['share_of_engine_at_once']:.2f}",
            *(f"{row['stages'][stage]['median_ms']:.1f}" for stage in stages),
        )
        for name, row in figures["engines"].items()
    )
    head = ("", *_ALONE, "video, frames/s", "share of the first", "of the second", *(f"{one}, ms" for one in stages))
    return table(head, rows)


def deformable(figures: Figures) -> str:
    """Milliseconds of both forms of a deformable convolution, by shape."""
    rows = []
    for shape, ms in figures["milliseconds"].items():
        plain, sampled = ms["DeformConv"], ms["GridSample"]
        rows.append((shape, f"{plain:.1f}", f"{sampled:.1f}", f"{sampled / plain:.2f}"))
    return table(("channels and cells", "DeformConv, ms", "GridSample, ms", "times as long"), rows)
