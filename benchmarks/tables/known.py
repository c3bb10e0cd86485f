"""The table of the models that are known by name."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table
from yolact.hub.known_models import KNOWN_MODELS


def official(published: dict[str, Any]) -> str:
    """Models to run: the name of each, and its published accuracy and speed."""
    head = ("name for `--engine`", "backbone", "input", "published mask AP", "published fps, Titan Xp", "licence")
    frames = {row["model"]: row["fps"] for row in published["rows"] if "model" in row}
    rows = (
        (
            f"[`{model.name}`]({model.link})",
            model.backbone,
            model.image_size,
            model.mask_ap,
            frames[model.name],
            model.licence,
        )
        for model in KNOWN_MODELS
        if model.mask_ap is not None
    )
    return table(head, rows)
