"""The interface of all engines: an exported file, a PyTorch module, a TensorRT plan, on a CPU or a GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast, runtime_checkable

from yolact.runtime.errors import UsageError

if TYPE_CHECKING:  # the commands name devices before they load what runs a network
    from collections.abc import Sequence

    from yolact.runtime.cuda.device_detections import DeviceDetections
    from yolact.runtime.detections import Detections
    from yolact.runtime.images.arrays import Image
    from yolact.runtime.metadata import ModelMetadata
    from yolact.runtime.postprocess.postprocess import NetworkDetections
    from yolact.runtime.selection import Selection


class Engine(Protocol):
    """Network and post-processing behind one call.

    Attributes:
        metadata: the model and its post-processing.
        min_batch: fewest images per call.
        max_batch: most images per call, None where any number will do.
        device: where it runs, as text ``cpu`` or ``cuda:0``.
    """

    @property
    def metadata(self) -> ModelMetadata: ...

    @property
    def min_batch(self) -> int: ...

    @property
    def max_batch(self) -> int | None: ...

    @property
    def device(self) -> object: ...

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR, S as in the metadata."""

    def close(self) -> None:
        """Free the engine's resources; it cannot be used any more. Calling it again does nothing."""


@runtime_checkable
class ImageEngine(Engine, Protocol):
    """An engine that stretches images and masks itself, as plans do on a GPU.

    Attributes:
        takes_images: whether it can do so here.
    """

    takes_images: bool

    def find(self, images: Sequence[Image], wanted: Selection | None = None) -> list[Detections]:
        """The wanted detections of each image (H, W, 3) uint8 BGR, of any sizes and at most `max_batch` of them.

        None wants all, in the network's order.
        """

    def find_on_device(self, images: Sequence[Image], wanted: Selection | None = None) -> list[DeviceDetections]:
        """As `find`, with results that stay on the GPU. Raises UsageError where it cannot do so here."""


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
        match = re.fullmatch(r"(cpu)|(cuda|tensorrt)(?::(\d{1,3}))?", str(text))
        if match is None:
            raise UsageError(f"expected a device like cpu, cuda, cuda:1 or tensorrt, got {text!r}")
        kind = cast(Literal["cpu", "cuda", "tensorrt"], match[1] or match[2])
        return cls(kind, int(match[3] or 0))


CPU = DeviceChoice("cpu")


@dataclass(frozen=True)
class EngineOptions:
    """The options with which an engine file is opened.

    Attributes:
        device: where it runs; None: an ONNX file on the CPU, a plan on the first GPU.
        metadata_file: for a plan without its sidecar, the ONNX file it was built from or the sidecar under its new
            name.
        allow_host_code: let TensorRT run code that the plan carries. Only for plans you trust.
    """

    device: DeviceChoice | None = None
    metadata_file: Path | None = None
    allow_host_code: bool = False


DEFAULT_OPTIONS = EngineOptions()
