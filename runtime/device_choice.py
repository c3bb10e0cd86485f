"""Where an engine file runs, as users write it: `cpu`, `cuda`, `cuda:1`, `tensorrt`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from yolact.runtime.errors import UsageError


@dataclass(frozen=True)
class DeviceChoice:
    """A device and how it is used.

    Attributes:
        kind: ``cpu``; ``cuda``, a GPU: plans on TensorRT, ONNX files on ONNX Runtime's CUDA provider; ``tensorrt``,
            a GPU and ONNX files on ONNX Runtime's TensorRT provider.
        index: of the GPU.
    """

    kind: Literal["cpu", "cuda", "tensorrt"]
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> DeviceChoice:
        """From `cpu`, `cuda`, `cuda:1`, `tensorrt`, `tensorrt:1`. Raises UsageError for anything else."""
        match = re.fullmatch(r"(cpu)|(cuda|tensorrt)(?::(\d{1,3}))?", text)
        if match is None:
            raise UsageError(f"expected a device like cpu, cuda, cuda:1 or tensorrt, got {text!r}")
        kind = cast(Literal["cpu", "cuda", "tensorrt"], match[1] or match[2])
        return cls(kind, int(match[3] or 0))


CPU = DeviceChoice("cpu")
