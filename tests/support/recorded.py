"""Inputs that the official implementation's recorded numbers belong to, made again by the rules beside them."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F

from yolact.training.models.checkpoints import load_checkpoint
from yolact.training.models.configs import CONFIGS
from yolact.training.models.model import Yolact
from yolact.training.models.seeded_weights import seeded_state_dict

EDGE_NAMES = ["yolact_edge_mobilenetv2", "yolact_edge_resnet50", "yolact_edge"]
"""Recorded from the code of YOLACT-Edge."""

UNRECORDED = (
    *("yolact_resnet50_pascal", "yolact_edge_youtubevis", "yolact_edge_youtubevis_resnet50"),
    *("yolact_demo", "yolact_nuclei"),
)
CONFIG_NAMES = [name for name in CONFIGS if name not in (*UNRECORDED, *EDGE_NAMES)]
IMAGE_NAMES = ["sq550", "vga480x640", "hd721x1280"]

CASES = [
    (name, image)
    for index, name in enumerate(CONFIG_NAMES)
    for position, image in enumerate(IMAGE_NAMES)
    if name == "yolact_resnet50" or position == index % len(IMAGE_NAMES)
]
"""All images on one network; elsewhere one each, to keep the suite short. For the tables all run on all."""

EDGE_CASES = [("yolact_edge_mobilenetv2", "vga480x640")]
"""The other two have the networks of yolact_resnet50 and yolact_base; for the tables they run as well."""


@cache
def load_rule(shared: Path, name: str) -> ModuleType:
    """One of the scripts in goldens/rules as a module."""
    spec = importlib.util.spec_from_file_location(name, shared / "goldens" / "rules" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edge_state(shared: Path, name: str) -> dict[str, torch.Tensor]:
    """The recorded weights of a network of YOLACT-Edge, by the names that its code saves."""
    sys.modules["weights_rule"] = load_rule(shared, "weights_rule")  # which the other imports
    keys = json.loads((shared / "goldens" / f"{name}.keys.json").read_text())["keys_in_module_order"]
    shapes = {entry["key"]: tuple(entry["shape"]) for entry in keys}
    weights = load_rule(shared, "weights_rule_edge").make_edge_weights(name, shapes, 1)
    return {key: torch.from_numpy(np.asarray(values)) for key, values in weights.items()}


def recorded_network(shared: Path, name: str) -> Yolact:
    """With the weights that the numbers were recorded with; those of YOLACT-Edge are read from a checkpoint."""
    if name in EDGE_NAMES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}_54_800000.pth")
            torch.save(edge_state(shared, name), path)
            return load_checkpoint(path)
    with torch.device("meta"):
        model = Yolact(CONFIGS[name])
    model.load_state_dict(seeded_state_dict(CONFIGS[name]), assign=True)
    return model.eval()


@cache
def make_image(shared: Path, name: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    rule = load_rule(shared, "inputs_rule")
    return rule.make_image(*rule.IMAGES[name])


def stretched(image: np.ndarray, side: int) -> torch.Tensor:
    """(1, S, S, 3) float32 as the official code resizes: in floating point, without antialiasing."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
