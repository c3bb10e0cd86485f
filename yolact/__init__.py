"""Train and deploy YOLACT and YOLACT++: images in, instance masks out.

Everything else lies in the folders beside this one (`yolact.runtime`, `yolact.export`, ...). The names below are
loaded when they are first used, so `import yolact` itself costs nothing and needs none of the libraries.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolact.runtime.config import ModelConfig, PostprocessConfig
    from yolact.runtime.detections import Detections
    from yolact.runtime.detector import Detector
    from yolact.runtime.errors import YolactError
    from yolact.runtime.images.drawing import annotate
    from yolact.runtime.images.image_files import read_image
    from yolact.runtime.tracking.tracker import Tracker
    from yolact.runtime.triton.detector import TritonDetector

__all__ = [
    "Detections",
    "Detector",
    "ModelConfig",
    "PostprocessConfig",
    "Tracker",
    "TritonDetector",
    "YolactError",
    "annotate",
    "read_image",
]

__version__ = "0.1.0"

_HOMES = {
    "Detections": "yolact.runtime.detections",
    "Detector": "yolact.runtime.detector",
    "ModelConfig": "yolact.runtime.config",
    "PostprocessConfig": "yolact.runtime.config",
    "Tracker": "yolact.runtime.tracking.tracker",
    "TritonDetector": "yolact.runtime.triton.detector",
    "YolactError": "yolact.runtime.errors",
    "annotate": "yolact.runtime.images.drawing",
    "read_image": "yolact.runtime.images.image_files",
}

# From 1.31 on ONNX Runtime reports its use to its makers and leaves files in the home folder, unless it is told not to
# before it is loaded. What people run with this toolkit is nobody else's business; who wants it sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# In a clone the other folders lie beside this one and not in it. An installation has put them in it.
if not Path(__file__).with_name("runtime").is_dir():
    __path__.append(str(Path(__file__).resolve().parents[1]))


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'yolact' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
