"""Inputs that the official implementation's recorded numbers belong to, made again by the rules beside them."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F

from yolact.training.models.configs import CONFIGS

UNRECORDED = ("yolact_resnet50_pascal", "yolact_mobilenet_v2", "yolact_demo")
CONFIG_NAMES = [name for name in CONFIGS if name not in UNRECORDED]
IMAGE_NAMES = ["sq550", "vga480x640", "hd721x1280"]

CASES = [
    (name, image)
    for index, name in enumerate(CONFIG_NAMES)
    for position, image in enumerate(IMAGE_NAMES)
    if name in ("yolact_resnet50", "yolact_plus_resnet50") or position == index % len(IMAGE_NAMES)
]
"""All images on one network of each kind; elsewhere one each, to keep the suite short."""


@cache
def load_rule(shared: Path, name: str) -> ModuleType:
    """One of the scripts in goldens/rules as a module."""
    spec = importlib.util.spec_from_file_location(name, shared / "goldens" / "rules" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def make_image(shared: Path, name: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    rule = load_rule(shared, "inputs_rule")
    return rule.make_image(*rule.IMAGES[name])


def stretched(image: np.ndarray, side: int) -> torch.Tensor:
    """(1, S, S, 3) float32 as the official code resizes: in floating point, without antialiasing."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
