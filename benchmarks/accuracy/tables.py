"""The accuracy of the trained models, and the losses and gains of INT8 and half precision, in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.markdown import table
from yolact.runtime.contract import HEADS

Figures = dict[str, Any]


def int8_accuracy(figures: Figures) -> str:
    """Average precision of masks of each variant of the trained models, and its loss against fp32."""
    ap = figures["ap"]
    head = (f"{count} {name}, mask AP" for name, count in figures["pictures"].items())
    rows = []
    for variant in ap["bins"]:
        pairs = ((one[variant]["mask"], one["fp32"]["mask"] - one[variant]["mask"]) for one in ap.values())
        rows.append((variant, *(f"{figure:.2f}" for pair in pairs for figure in pair)))
    return table(("", *(cell for title in head for cell in (title, "lost"))), rows)


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
    return table((demo["pictures"], "box AP", "mask AP"), rows)


def precision_heads(figures: Figures) -> str:
    """Difference of each head from float32, relative to the head, and detections found again."""
    rows = []
    for name, precisions in (figures["trained"]["heads"] | figures["official"]["heads"]).items():
        for precision, row in precisions.items():
            again = f"{row['found_again']:.0f} of {row['confident']:.0f}" if row["confident"] else "-"
            rows.append((name, precision, *(f"{row[head]:.2g}" for head in HEADS), again))
    return table(("configuration", "", *HEADS, "found again"), rows)


_AP = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
_AP_TITLES = ("AP", "AP50", "AP75", "small", "medium", "large")


def trained_precisions(model: str) -> Callable[[Figures], str]:
    """Average precision of a trained model's files, and milliseconds of those that this CPU can run as they are."""

    def render(figures: Figures) -> str:
        rows = figures["models"][model]["precisions"]
        exact = rows["checkpoint"]["mask"]["ap"]
        head = ("", "box AP", *(f"mask {title}" for title in _AP_TITLES), "lost", "ms to detections", "ms to all masks")
        return table(head, (_precision_row(name, row, exact) for name, row in rows.items()))

    return render


def _precision_row(name: str, row: Figures, exact: float) -> tuple[str, ...]:
    timed = row.get("detector_ms") is not None
    times = (row["detector_ms"], row["detector_ms"] + row["mask_ms"]) if timed else ()
    lost = exact - row["mask"]["ap"]
    return name, _points(row["box"]["ap"]), *(_points(row["mask"][key]) for key in _AP), _points(lost), *map(_ms, times)


def trained_shown(model: str) -> Callable[[Figures], str]:
    """Wrong and missing detections of a trained model by the score from which on they are shown."""

    def render(figures: Figures) -> str:
        rows = (
            (row["threshold"], f"{100 * row['wrong']:.1f} %", f"{100 * row['found']:.1f} %")
            for row in figures["models"][model]["shown"]
        )
        return table(("score above", "of the detections shown are wrong", "of the objects are found"), rows)

    return render


def trained_groups(model: str) -> Callable[[Figures], str]:
    """Mask AP of a trained model by group of pictures."""

    def render(figures: Figures) -> str:
        groups = figures["models"][model]["groups"]
        rows = (
            (name, row["images"], row["objects"], *(_points(row[key]) for key in _AP)) for name, row in groups.items()
        )
        return table(("", "pictures", "objects", *(f"mask {title}" for title in _AP_TITLES)), rows)

    return render


def trained_worst(model: str) -> Callable[[Figures], str]:
    """The pictures on which a trained model does worst."""

    def render(figures: Figures) -> str:
        head = ("picture", "group", "size, px", "objects", "median diameter, px", "mask AP", "mask AP50")
        rows = (
            (
                f"`{row['image']}`",
                row["group"],
                "x".join(map(str, row["size"])),
                row["objects"],
                f"{row['median_diameter_px']:.0f}",
                _points(row["ap"]),
                _points(row["ap50"]),
            )
            for row in figures["models"][model]["worst"]
        )
        return table(head, rows)

    return render


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ms(value: float) -> str:
    return f"{value:.1f}"
