"""Results for GPUs that need no GPU, in Markdown: TensorRT plans, and the resources of kernels."""

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
    """The resources of each kernel on a multiprocessor, by architecture."""
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


def cost_sheet(figures: Figures) -> str:
    """The cost of each launch of the plugins: blocks, bytes, occupancy, and an estimate beside the floor of bytes."""
    rows = _launch_rows(figures["sheet"])
    floors, estimates = (
        [sum(row["batches"][batch][key] for row in figures["sheet"]) for batch in figures["sheet"][0]["batches"]]
        for key in ("floor_us", "estimate_us")
    )
    gaps = len(figures["sheet"]) + 1
    sums = [f"{value:.1f}" for pair in zip(floors, (time + gaps for time in estimates), strict=True) for value in pair]
    rows.append((f"together, with a memset and {gaps} gaps of 1 us", "", "", "", *sums))
    return table(_launch_head(figures["sheet"]), rows)


def detector_sheet(figures: Figures) -> str:
    """The same for the launches of a detector on a plan around its engine, for one image."""
    return table(_launch_head(figures["detector_sheet"]), _launch_rows(figures["detector_sheet"]))


def around_engine(figures: Figures) -> str:
    """The work of a detector on a plan beside its engine for one image, and its sum."""
    parts = figures["around_engine"]
    rows = [
        (one["part"], f"{one['bytes'] / 1e6:.2f}" if one["bytes"] else "", f"{one['estimate_us']:.1f}") for one in parts
    ]
    together = sum(one["estimate_us"] for one in parts)
    return table(("beside the engine, one image", "MB", "estimate, us"), [*rows, ("together", "", f"{together:.1f}")])


def mask_forms(figures: Figures) -> str:
    """Both ways from the network to bits of masks: bytes, floors, and the estimate of the existing one."""
    forms = figures["mask_forms"]
    names = {
        "now": "`assembleMasks`, then `masksToImageKernel`",
        "fused": "one kernel, if it did nothing but move bytes",
    }
    rows = []
    for form, name in names.items():
        size = forms["bytes"][form]
        floors = [f"{size / speed * 1e6:.1f}" for speed in forms["memory"].values()]
        times = [f"{time:.1f}" if form == "now" else floors[0] for time in forms["estimate_us_an_image"].values()]
        rows.append((name, f"{size / 1e6:.1f}", *floors, *times))
    head = ["for each image, 100 detections", "MB", *(f"floor on {name}, us" for name in forms["memory"])]
    return table((*head, *(f"H200, batch {batch}, us" for batch in forms["estimate_us_an_image"])), rows)


def before_and_now(before: Figures, now: Figures) -> str:
    """Estimates of the first version of each kernel beside those of today; a kernel's launches are added up."""
    rows = []
    for sheet in ("sheet", "detector_sheet"):
        was, is_now = _estimates(before[sheet]), _estimates(now[sheet])
        for kernel, times in was.items():
            pairs = zip(times, is_now[kernel], strict=True)
            rows.append([f"`{kernel}`", *(f"{old:.1f} -> {new:.1f}" for old, new in pairs)])
    batches = list(now["sheet"][0]["batches"])
    return table(("kernel", *(f"batch {batch}, us" for batch in batches)), [[*row, "-"][:3] for row in rows])


def _estimates(sheet: list[Figures]) -> dict[str, list[float]]:
    """By kernel the microseconds of its launches together, for each batch."""
    found: dict[str, list[float]] = {}
    for row in sheet:
        times = [time["estimate_us"] for time in row["batches"].values()]
        found[row["kernel"]] = [a + b for a, b in zip(found.get(row["kernel"], [0.0] * len(times)), times, strict=True)]
    return found


def _launch_head(sheet: list[Figures]) -> list[str]:
    head = ["launch", "blocks x threads, dynamic shared", f"occupancy on {', '.join(sheet[0]['occupancy'])}"]
    head.append("MB an image")
    for batch in sheet[0]["batches"]:
        head += [f"batch {batch}: floor, us", "estimate, us"]
    return head


def _launch_rows(sheet: list[Figures]) -> list[tuple[Any, ...]]:
    rows = []
    for row in sheet:
        held = ", ".join(f"{share:.0%}" for share in row["occupancy"].values())
        size = f"{row['blocks']} x {row['threads']}, {row['dynamic_shared_bytes'] / 1000:.1f} kB"
        rows.append((f"`{row['kernel']}`", size, held, f"{row['bytes'] / 1e6:.2f}", *_times(row["batches"])))
    return rows


def _times(batches: Figures) -> list[str]:
    return [f"{value:.1f}" for times in batches.values() for value in (times["floor_us"], times["estimate_us"])]


def loops(figures: Figures) -> str:
    """The innermost loops of each kernel for sm_90, in FP16 where it has a type: instructions by kind."""
    rows: dict[tuple[Any, ...], None] = {}  # each once: the compiler repeats loops of functions that it inlines
    for row in figures["kernels"]:
        if row["arch"] == "sm_90" and row["type"] in ("fp16", "-"):
            for loop in row["loops"]:
                kinds = [f"{number} {kind}" for kind, number in loop.items() if kind not in ("in", "instructions")]
                if kinds:
                    rows[f"`{row['kernel']}`", f"`{loop['in']}`", loop["instructions"], ", ".join(kinds)] = None
    return table(("kernel", "loop in", "instructions", "of which"), rows)
