"""What INT8 and half precision cost and gain, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table
from yolact.runtime.contract import HEADS

Figures = dict[str, Any]


def int8_accuracy(figures: Figures) -> str:
    """Average precision of each variant, and what is lost to fp32."""
    exact = figures["ap"]["fp32"]["mask"]
    rows = (
        (name, f"{ap['mask']:.2f}", f"{exact - ap['mask']:.2f}", f"{ap['box']:.2f}")
        for name, ap in figures["ap"].items()
    )
    return table((f"{figures['scenes']} images", "mask AP", "lost", "box AP"), rows)


def int8_latency(figures: Figures) -> str:
    """Milliseconds of the raw heads on a CPU."""
    latency = figures["latency_ms"]
    rows = ((name, f"{ms:.0f}", f"{latency['fp32'] / ms:.2f}") for name, ms in latency.items())
    return table(("YOLACT-ResNet50, raw heads", "ms", "times as fast"), rows)


def int8_plans(figures: Figures) -> str:
    """Sizes of ONNX files and plans."""
    rows = (
        (name, f"{sizes['onnx_bytes'] / 1e6:.1f}", f"{sizes['plan_bytes'] / 1e6:.1f}")
        for name, sizes in figures["plans"].items()
    )
    return table((f"YOLACT-ResNet50, {figures['gpu_arch']}", "ONNX, MB", "plan, MB"), rows)


def precision_accuracy(figures: Figures) -> str:
    """Average precision of the demonstration model by precision."""
    demo = figures["demo"]
    rows = (
        (name, *("-" if row[kind] is None else f"{100 * row[kind]:.2f}" for kind in ("box_ap", "mask_ap")))
        for name, row in demo["scores"].items()
    )
    return table((f"{demo['scenes']} scenes", "box AP", "mask AP"), rows)


def precision_heads(figures: Figures) -> str:
    """Difference of each head from float32, relative to the head, and detections found again."""
    rows = []
    for name, precisions in (figures["trained"]["heads"] | figures["official"]["heads"]).items():
        for precision, row in precisions.items():
            again = f"{row['found_again']:.0f} of {row['confident']:.0f}" if row["confident"] else "-"
            rows.append((name, precision, *(f"{row[head]:.2g}" for head in HEADS), again))
    return table(("configuration", "", *HEADS, "found again"), rows)
