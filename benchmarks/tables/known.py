"""The table of the models that are known by name."""

from __future__ import annotations

from benchmarks.markdown import table
from yolact.hub.known_models import KNOWN_MODELS


def official() -> str:
    """Models to run, each with the command that takes it from its name to masks."""
    head = ("model", "backbone", "input", "published mask AP", "bytes", "licence", "from its name to masks")
    rows = (
        (
            f"[{model.file}]({model.link})",
            model.backbone,
            model.image_size,
            model.mask_ap,
            "not known" if model.size is None else f"{model.size:,}",
            model.licence,
            f"`yolact-infer --engine {model.name} photo.jpg`",
        )
        for model in KNOWN_MODELS
        if model.mask_ap is not None
    )
    return table(head, rows)
