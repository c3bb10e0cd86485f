"""Checks that a reference's average precision is high enough to judge others by it."""

from __future__ import annotations

from pathlib import Path

from yolact.runtime.errors import DatasetError

LEAST_AP = 1.0
"""Least mask AP in points. With less, a network that finds nothing at all would lose next to nothing."""


def check_reference(mask_ap: float | None, source: Path, max_drop: float = 0.0) -> None:
    """Raise DatasetError where there is a doubt: see `reference_doubt`."""
    doubt = reference_doubt(mask_ap, source, max_drop)
    if doubt is not None:
        raise DatasetError(doubt)


def reference_doubt(mask_ap: float | None, source: Path, max_drop: float = 0.0) -> str | None:
    """The sentence where a reference finds too little to tell what another network loses, else None.

    Args:
        mask_ap: of the reference in points, None where nothing is annotated.
        source: the annotation file.
        max_drop: points that may be lost; a reference with no more points would let everything pass.
    """
    least = max(LEAST_AP, max_drop)
    if mask_ap is not None and mask_ap > least:
        return None
    got = "not defined, as nothing is annotated" if mask_ap is None else f"{mask_ap:.2f}, too near zero"
    return (
        f"the reference's mask AP on {source} is {got}, so nothing can be judged by it: expected more than {least:g}; "
        "check that the annotations, their classes and the images are those that the model was made for, or give others"
    )
