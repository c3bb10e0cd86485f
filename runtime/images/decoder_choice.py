"""The decoder of JPEGs: OpenCV, or NVIDIA's nvImageCodec where that is chosen and installed."""

from __future__ import annotations

import os
from typing import Any

from yolact.runtime.errors import UsageError
from yolact.runtime.packages import PackageMissing

VARIABLE = "YOLACT_JPEG_DECODER"
"""Environment variable with one of DECODERS, as the functions that decode images take no options."""

DECODERS = ("opencv", "nvimgcodec")
"""Decoders of JPEGs; the first is the default."""


def is_nvimgcodec_chosen() -> bool:
    """Whether JPEGs go to nvImageCodec. Raises UsageError where the variable has another value."""
    name = os.environ.get(VARIABLE) or DECODERS[0]
    if name not in DECODERS:
        raise UsageError(f"{VARIABLE}: expected {' or '.join(DECODERS)}, got {name!r}")
    return name == DECODERS[1]


def load_nvimgcodec() -> Any:
    """The module, which prints the libraries that it lacks when it is first loaded. Raises PackageMissing."""
    try:
        from nvidia import nvimgcodec
    except ImportError:
        raise PackageMissing("decoding JPEGs by nvimgcodec", "nvidia-nvimgcodec", "nvimgcodec") from None
    return nvimgcodec
