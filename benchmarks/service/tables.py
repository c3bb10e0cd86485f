"""The measurements of the C API and the C service, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]


def overhead(figures: Figures) -> str:
    """The C API beside the Python runtime on the same engine."""
    rows = (
        (
            name,
            row["detections"],
            f"{row['c_ms']:.2f}",
            f"{row['python_ms']:.2f}",
            f"{1e3 * row['difference_ms']:.0f}",
            f"{row['difference_ms'] / row['python_ms']:.1%}",
        )
        for name, row in figures["overhead"].items()
    )
    return table(("", "detections", "C, ms", "Python, ms", "difference, us", "of Python"), rows)


def load(figures: Figures) -> str:
    """The C service by number of connections, with batches across requests and without."""
    rows = (
        (
            row["connections"],
            "none" if row["max_batch"] == 1 else f"up to {row['max_batch']}",
            f"{row['per_second']:.1f}",
            f"{row['p50_ms']:.0f}",
            f"{row['p99_ms']:.0f}",
            row["lost"],
        )
        for row in sorted(figures["service"], key=lambda row: (row["connections"], row["max_batch"]))
    )
    return table(("connections", "batches", "requests/s", "p50, ms", "p99, ms", "lost"), rows)


def processes(figures: Figures) -> str:
    """The same load on one C service with two threads, and on two with one thread each."""
    rows = (
        (
            f"{row['processes']} with {row['threads']}",
            f"{row['per_second']:.1f}",
            f"{row['p50_ms']:.0f}",
            f"{row['p99_ms']:.0f}",
            row["lost"],
        )
        for row in figures.get("processes", ())
    )
    return table(("processes, threads of each", "requests/s", "p50, ms", "p99, ms", "lost"), rows)


def memory(figures: Figures) -> str:
    """The service's resident memory over many requests."""
    row = figures["memory"]
    head = ("requests", "requests/s", "lost", "resident before, MB", "at most in the first half", "in the second")
    sizes = (f"{row[key]:.1f}" for key in ("after_a_tenth_mb", "largest_in_first_half_mb", "largest_in_second_half_mb"))
    return table(head, [(row["requests"], f"{row['per_second']:.0f}", row["lost"], *sizes)])


def triton(figures: Figures) -> str:
    """Triton and the C service under the same load, beside the same work in one Python program."""
    return "\n\n".join(_triton_of(name, one["requests"], one["rows"]) for name, one in figures["engines"].items())


def _triton_of(engine: str, requests: int, rows: Figures) -> str:
    best = max(row["per_second"] for name, row in rows.items() if name.startswith("one program"))
    head = (
        f"{engine}, {requests:,} requests",
        "images/s",
        "of the quickest program",
        "p50, ms",
        "p99, ms",
        "lost or empty",
        "memory, MB",
        "mean batch",
    )
    return table(head, (_triton_row(name, row, best) for name, row in rows.items()))


def _triton_row(name: str, row: Figures, best: float) -> tuple[object, ...]:
    share = (name, f"{row['per_second']:.1f}", f"{row['per_second'] / best:.2f}")
    if "lost" not in row:
        return (*share, *"     ")
    memory = f"{row['largest_in_first_half_mb']:.0f}, then {row['largest_in_second_half_mb']:.0f}"
    batch = f"{row['mean_batch']:.1f}" if "mean_batch" in row else ""
    return (*share, f"{row['p50_ms']:.0f}", f"{row['p99_ms']:.0f}", row["lost"], memory, batch)
