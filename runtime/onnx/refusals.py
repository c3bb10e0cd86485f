"""Sentences for files that no runtime of ONNX files opens."""

from __future__ import annotations

from pathlib import Path

from yolact.runtime.model_names import is_checkpoint


def known_refusal(path: Path, reason: str) -> str | None:
    """A sentence about a file that a runtime refused for this reason, with what to do; None for other reasons."""
    if is_checkpoint(path):
        return f"{path} is a checkpoint; export it with yolact-export --weights {path}"
    if "YolactFastNms" in reason:
        return (
            f"{path} was exported with --functions strip, for TensorRT with plugins only; export it again with "
            "yolact-export --functions keep"
        )
    return None
