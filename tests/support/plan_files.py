"""Plans that are none but for their first bytes, and what belongs beside them."""

from __future__ import annotations

import hashlib
import struct

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.tensorrt.plan_file import (
    PlanIdentity,
)
from yolact.training.models.configs import CONFIGS

IDENTITY = PlanIdentity(
    flavour="tensorrt",
    tensorrt_version="10.3.0.26",
    cuda_version="12.6",
    gpu_name="Orin",
    gpu_archs=("sm_87",),
    precision_asked="fp16",
    precision_obtained={"HALF": 53},
    min_batch=1,
    opt_batch=2,
    max_batch=4,
    plugins=("YolactFastNms",),
    version_compatible=False,
    hardware_compatible=False,
    size=1000,
    plan_sha256=hashlib.sha256(bytes(1000)).hexdigest(),
    onnx_sha256="cd",
    command=("yolact-build", "--engine", "yolact.onnx"),
)


METADATA = ModelMetadata("full", CONFIGS["yolact_base"], PostprocessConfig(nms_threshold=0.4), "ef", "0.1.0", "fp16")


def plan_bytes(magic: bytes, version: tuple[int, int, int, int], size: int = 1000) -> bytes:
    """As TensorRT begins a plan: tag, serialisation version, 16 bytes of other things, four bytes of version."""
    return struct.pack("<4sI16x4B", magic, 0, *version).ljust(size, b"\0")
