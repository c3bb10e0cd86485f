"""The measurements of batch jobs, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]

MILLION = 1_000_000


def share(figures: Figures) -> str:
    """A job with two workers beside the network alone and beside workers without Ray."""
    rows = []
    for name, row in figures["share"].items():
        rates = (f"{row[key]:.2f}" for key in ("network_per_second", "worker_per_second", "job_per_second"))
        shares = (f"{row[key]:.2f}" for key in ("of_network", "of_worker"))
        rows.append((name, row["images"], *rates, *shares, f"{row['before_first_part']:.1f}"))
    head = ("", "images", "network alone, images/s", "workers without Ray", "job", "of the network", "of the workers")
    return table((*head, "seconds to the first part"), rows)


def memory(figures: Figures) -> str:
    """The driver's resident memory over a long job, and the time of an image beyond a worker without Ray."""
    row = figures["long"]
    head = (
        "images",
        "images/s",
        "beyond a worker's own, ms an image",
        "driver at first, MB",
        "at most in the first half",
    )
    sizes = (f"{row[key]:.1f}" for key in ("first_mb", "largest_in_first_half_mb", "largest_in_second_half_mb"))
    cells = (row["images"], f"{row['per_second']:.1f}", f"{row['ms_beyond']:.3f}", *sizes)
    return table((*head, "in the second"), [cells])


def million(figures: Figures) -> str:
    """A job of a million images: the plan as it was made, the rest in proportion."""
    long, plan = figures["long"], figures["plan"]
    factor = MILLION / long["images"]
    hours = MILLION / long["per_second"] / 3600
    rows = [
        ("plan, measured", f"{plan['seconds']:.1f} s, {plan['bytes'] / 1e6:.0f} MB, {plan['parts']:.0f} parts"),
        ("peak memory of planning, measured", f"{plan['peak_mb']:.0f} MB"),
        (f"the job with {figures['workers']} workers on this machine", f"{hours:.1f} h"),
        ("Ray's share of that", f"{MILLION * long['ms_beyond'] / 1000 / 60:.1f} min of a worker"),
        ("results", f"{long['bytes'] * factor / 1e9:.2f} GB"),
        ("driver's memory, from half to half", f"{_growth(long):+.1f} MB in {long['images']:,} images"),
    ]
    return table((f"{MILLION:,} images", ""), rows)


def _growth(long: Figures) -> float:
    grown: float = long["largest_in_second_half_mb"] - long["largest_in_first_half_mb"]
    return grown
