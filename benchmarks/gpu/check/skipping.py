"""Skipping: a step that needs something the machine lacks ends without a failure. Needs the standard library alone."""

from __future__ import annotations

import os
import time

SKIPPED = 77
"""Exit code of a step that did not run for lack of something, as automake and meson have it."""

END_VARIABLE = "YOLACT_GPU_CHECK_END"
"""Of a step's environment: the time, in seconds since 1970, at which it is ended."""

OPTIONAL = {
    *("click", "cuda", "cv2", "numpy", "onnx", "onnxruntime", "polygraphy", "pycocotools", "pytest", "tensorrt"),
    *("tensorrt_rtx", "torch", "tqdm"),
}
"""Modules that a bare machine may lack. Others that are not found are mistakes."""


class Skip(Exception):
    """The machine lacks something; the message is a sentence that says what."""


def seconds_left() -> float:
    """Seconds until this step is ended; infinity where it is no step of the check."""
    return float(os.environ.get(END_VARIABLE, "inf")) - time.time()


def require_gpu() -> None:
    """Raises Skip unless PyTorch can use a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise Skip(f"PyTorch {torch.__version__} can use no GPU")


def missing_module(name: str | None) -> str:
    """The sentence for a missing module; empty if the module should have been found."""
    top = (name or "").partition(".")[0]
    return f"the Python module {top} is not installed" if top in OPTIONAL else ""
