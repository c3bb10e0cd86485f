"""What is known of GPUs without running on one, in Markdown: TensorRT plans, and the resources of kernels."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]


def plans(figures: Figures) -> str:
    """The plans that were built ahead of time: sizes, seconds, types of layers."""
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


def resources(figures: Figures) -> str:
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
