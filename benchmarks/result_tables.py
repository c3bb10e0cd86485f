"""What benchmarks measured, in Markdown: for their own output, and for the documentation by `tables.py`."""

from __future__ import annotations

from typing import Any

from gpu_check_report import contender_table
from gpu_report import Row, rows_table
from markdown_tables import table

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
    """Of the raw heads on a CPU."""
    latency = figures["latency_ms"]
    rows = ((name, f"{ms:.0f}", f"{latency['fp32'] / ms:.2f}") for name, ms in latency.items())
    return table(("YOLACT-ResNet50, raw heads", "ms", "times as fast"), rows)


def int8_plans(figures: Figures) -> str:
    """Sizes of files and plans."""
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
            again = f"{row['found_again']:.0f} of {row['telling']:.0f}" if row["telling"] else "-"
            rows.append((name, precision, *(f"{row[head]:.2g}" for head in HEADS), again))
    return table(("configuration", "", *HEADS, "found again"), rows)


def engines(figures: Figures) -> str:
    """Plans built ahead of time."""
    plans = figures["plans"]
    rows = []
    for key, row in plans.items():
        name, precision = key.split()
        share = row["plan_bytes"] / plans[f"{name} fp32"]["plan_bytes"]
        megabytes = (f"{row[kind] / 1e6:.1f}" for kind in ("onnx_bytes", "plan_bytes"))
        kinds = (_layers(row, kind) for kind in ("CONVOLUTION", "MATRIX_MULTIPLY"))
        rows.append((name, precision, *megabytes, f"{share:.2f}", f"{row['seconds']:.1f}", *kinds))
    head = ("configuration", "precision", "ONNX, MB", "plan, MB", "of fp32", "build, s")
    return table((*head, "convolutions", "matrix products"), rows)


def _layers(row: Figures, kind: str) -> str:
    """The types of one kind of layer: `86 HALF`."""
    found = {key.split()[1]: number for key, number in row["layers"].items() if key.split()[0] == kind}
    return ", ".join(f"{number} {dtype}" for dtype, number in found.items()) or "-"


def kernel_resources(figures: Figures) -> str:
    """What each kernel takes of a multiprocessor, by architecture."""
    kernels = figures["kernels"]
    archs = list(dict.fromkeys(row["arch"] for row in kernels))
    found = {(row["kernel"], row["type"], row["arch"]): row for row in kernels}
    rows = []
    for kernel, kind in dict.fromkeys((row["kernel"], row["type"]) for row in kernels):
        rows.append((f"`{kernel}`", kind, *(_resources(found.get((kernel, kind, arch))) for arch in archs)))
    return table(("kernel", "type", *(f"{arch}: registers, static shared, spilled" for arch in archs)), rows)


def _resources(row: Figures | None) -> str:
    if row is None:
        return "-"
    return f"{row['registers']}, {row['static_shared_bytes']} B, {row['spilled_bytes']} B"


def training(*runs: Figures) -> str:
    """A row for each network."""
    head = ("", "a step", "forward and backward alone", "loop reaches", "preparing an image", "a further image")
    rows = []
    for run in runs:
        name = f"`{run['config']}`, {run['batch_size']} images of {run['data']}"
        seconds = (f"{run[key] / 1000:.2g} s" for key in ("step_ms", "forward_backward_ms"))
        reached = f"{100 * run['loop_to_forward_backward']:.0f} %"
        prepared = f"{run['prepare_image_ms']:.0f} ms"
        rows.append((name, *seconds, reached, prepared, f"{run['memory_mb_per_further_image']} MB"))
    return table(head, rows)


def training_memory(*runs: Figures) -> str:
    """What the mask loss keeps, by instances."""
    kept = [run["mask_loss_mb_kept_per_image"] for run in runs]
    head = ("the mask loss keeps, MB", *(f"{count} instances" for count in kept[0]))
    return table(head, ((f"`{run['config']}`", *row.values()) for run, row in zip(runs, kept, strict=True)))


def deformable(figures: Figures) -> str:
    """Two forms of one operator by shape."""
    rows = []
    for shape, ms in figures["milliseconds"].items():
        plain, sampled = ms["DeformConv"], ms["GridSample"]
        rows.append((shape, f"{plain:.1f}", f"{sampled:.1f}", f"{sampled / plain:.2f}"))
    return table(("channels and cells", "DeformConv, ms", "GridSample, ms", "times as long"), rows)


def gpu_plugins(figures: Figures) -> str:
    """Kernels on a GPU."""
    rows = [Row(**{key: value for key, value in row.items() if key != "aims"}) for row in figures["rows"]]
    return rows_table(rows)


def gpu_check(figures: Figures) -> str:
    """End to end on a GPU, by network, contender and batch."""
    return contender_table(step["result"] for step in figures["steps"].values())


def folder(figures: Figures) -> str:
    """How much of an engine's throughput is left when files are read, drawn and written."""
    rows = (
        (name, f"{row['engine_per_second']:.2f}", f"{row['infer_per_second']:.2f}", f"{row['share']:.2f}")
        for name, row in figures["engines"].items()
    )
    return table((f"{figures['images']} photos", "engine alone, images/s", "yolact-infer, images/s", "share"), rows)


def bench_stages(figures: Figures) -> str:
    """Stages of one batch size after the other."""
    rows = []
    for batch in figures["batches"]:
        for stage, values in batch["stages"].items():
            if values is not None:
                times = (f"{values[key]:.2f}" for key in ("p50_ms", "p90_ms", "p99_ms", "images_per_s"))
                rows.append((batch["batch"], stage.replace("_", " "), *times))
    return table(("batch", "stage", "p50, ms", "p90, ms", "p99, ms", "images/s"), rows)


def bench_detections(figures: Figures) -> str:
    """What boxes and masks at image size take by the number of detections."""
    found = figures["by_detections"]
    rows = ((row["detections"], f"{row['p50_ms']:.2f}", f"{row['p90_ms']:.2f}") for row in found["counts"])
    return table((f"detections, {found['width_px']}x{found['height_px']}", "p50, ms", "p90, ms"), rows)


def published(figures: Figures) -> str:
    """Other people's figures."""
    keys = ("network", "hardware", "software", "fps", "mask_ap", "data")
    rows = ((*(row[key] for key in keys), f"[{row['source']}]({row['url']})") for row in figures["rows"])
    return table(("network", "their hardware", "by", "fps", "mask AP", "on", "source"), rows)
