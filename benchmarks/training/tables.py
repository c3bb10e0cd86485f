"""What was measured of training and of drawing its pictures, in Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]


def speed(*runs: Figures) -> str:
    """Speed and memory of training, a row for each network."""
    head = ("", "a step", "forward and backward alone", "loop reaches", "preparing an image", "a further image")
    rows = []
    for run in runs:
        name = f"`{run['config']}`, {run['batch_size']} images of {run['data']}"
        seconds = (f"{run[key] / 1000:.2g} s" for key in ("step_ms", "forward_backward_ms"))
        reached = f"{100 * run['loop_to_forward_backward']:.0f} %"
        prepared = f"{run['prepare_image_ms']:.0f} ms"
        rows.append((name, *seconds, reached, prepared, f"{run['memory_mb_per_further_image']} MB"))
    return table(head, rows)


def memory(*runs: Figures) -> str:
    """The memory that the mask loss keeps, by the number of instances."""
    kept = [run["mask_loss_mb_kept_per_image"] for run in runs]
    head = ("the mask loss keeps, MB", *(f"{count} instances" for count in kept[0]))
    return table(head, ((f"`{run['config']}`", *row.values()) for run, row in zip(runs, kept, strict=True)))


def drawing(figures: Figures) -> str:
    """Pictures of bins a second, a row for each number of processes."""
    size = "x".join(map(str, reversed(figures["size"])))
    rows = ((workers, f"{rate:.1f}") for workers, rate in figures["pictures_per_second"].items())
    return table(("processes", f"bins of {size} pixels drawn a second"), rows)
