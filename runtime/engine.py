"""The interface of all engines: an exported file, a PyTorch module, a TensorRT plan, on a CPU or a GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast, get_args, runtime_checkable

from yolact.runtime.errors import UsageError
from yolact.runtime.fields import whole

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
        device: where it runs, as text ``cpu``, ``cuda:0`` or ``openvino``.
        streams: calls of `detect` by several threads that are worth making at once.
    """

    @property
    def metadata(self) -> ModelMetadata: ...

    @property
    def min_batch(self) -> int: ...

    @property
    def max_batch(self) -> int | None: ...

    @property
    def device(self) -> object: ...

    @property
    def streams(self) -> int: ...

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


DeviceKind = Literal["cpu", "cuda", "tensorrt", "openvino"]

ComputePrecision = Literal["file", "auto"]
"""Precision that an engine computes in: ``file``, at least as exact as the file says; ``auto``, for OpenVINO alone, the
quickest on the device."""


@dataclass(frozen=True)
class DeviceChoice:
    """A device and how it is used.

    Attributes:
        kind: ``cpu``; ``cuda``, a GPU: plans on TensorRT, ONNX files on ONNX Runtime's CUDA provider; ``tensorrt``,
            a GPU and ONNX files on ONNX Runtime's TensorRT provider; ``openvino``, ONNX files on OpenVINO.
        index: of the GPU.
        name: OpenVINO's name of its device: ``CPU``, ``GPU``, ``GPU.1``, ``NPU``.
    """

    kind: DeviceKind
    index: int = 0
    name: str = "CPU"

    def __str__(self) -> str:
        if self.kind == "openvino":
            return self.kind if self.name == "CPU" else f"{self.kind}:{self.name}"
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> DeviceChoice:
        """From `cpu`, `cuda`, `cuda:1`, `tensorrt`, `openvino`, `openvino:GPU`. Raises UsageError for anything else."""
        openvino = re.fullmatch(r"openvino(?::([A-Z]{1,20}(?:\.\d{1,3})?))?", str(text))
        if openvino is not None:
            return cls("openvino", name=openvino[1] or "CPU")
        match = re.fullmatch(r"(cpu)|(cuda|tensorrt)(?::(\d{1,3}))?", str(text))
        if match is None:
            raise UsageError(
                f"expected a device like cpu, cuda, cuda:1, tensorrt, openvino or openvino:GPU, got {text!r}"
            )
        return cls(cast(DeviceKind, match[1] or match[2]), int(match[3] or 0))


CPU = DeviceChoice("cpu")

MAX_THREADS = 4096
"""Most CPU threads of an engine, more than machines have cores."""


@dataclass(frozen=True)
class EngineOptions:
    """The options with which an engine file is opened.

    Attributes:
        device: where it runs; None: an ONNX file on the CPU, a plan on the first GPU.
        metadata_file: for a plan without its sidecar, the ONNX file it was built from or the sidecar under its new
            name.
        allow_host_code: let TensorRT run code that the plan carries. Only for plans you trust.
        precision: ``auto``, for OpenVINO alone, computes in the precision that is quickest on the device.
        threads: CPU threads in all for an ONNX file; None for one per physical core.
        throughput: whether the time of many images counts, and not that of each. ONNX Runtime on a CPU then computes
            two at once, which takes more memory. Other engines do the same either way.

    Raises UsageError if the precision is unknown or not for this device, or `threads` is no number of them.
    """

    device: DeviceChoice | None = None
    metadata_file: Path | None = None
    allow_host_code: bool = False
    precision: ComputePrecision = "file"
    threads: int | None = None
    throughput: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None:
            whole("threads, unless they are None for all cores,", self.threads, 1, MAX_THREADS)
        if self.precision not in get_args(ComputePrecision):
            raise UsageError(f"expected a precision of file or auto, got {self.precision!r}")
        if self.precision == "auto" and (self.device is None or self.device.kind != "openvino"):
            raise UsageError(
                f"--precision auto is for --device openvino, got {self.device or 'no device'}; other devices compute "
                "in the precision of the file: export it with --fp16 or --int8"
            )


DEFAULT_OPTIONS = EngineOptions()
