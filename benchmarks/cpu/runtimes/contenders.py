"""The contenders on a CPU: how each runs the network's files, up to the heads and up to masks of the image.

A contender imports its runtime when it is opened, so that no process carries another contender's runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.cpu.runtimes.engines import (
    ForeignEngine,
    Run,
    TimedDetector,
    ncnn_run,
    openvino_run,
    torch_network,
    torch_run,
)
from benchmarks.cpu.runtimes.files import Files
from yolact.runtime.detection_stream import DetectionStream
from yolact.runtime.detections import Detections
from yolact.runtime.engine import ComputePrecision, Engine
from yolact.runtime.images.arrays import BoolArray, Image
from yolact.runtime.images.geometry import ImageTransform, Region
from yolact.runtime.metadata import ModelMetadata

REFERENCE, BASELINE = "ours-fp32", "eager"


class Pipeline(Protocol):
    """An object that finds the detections of an image, as `Detector` does.

    Attributes:
        metadata: of the network.
        engine_ms: milliseconds that its engine took in the last call, None if it has no engine.
    """

    metadata: ModelMetadata

    @property
    def engine_ms(self) -> float | None: ...

    def __call__(self, images: Any) -> Any:
        """The detections of an image, or a list of them for a list of images."""


@dataclass(frozen=True)
class Contender:
    """One way to run the network.

    Attributes:
        label: for tables.
        rounded: computes in less than float32, so it is judged by accuracy and not by equal detections.
        open_heads, open_pipeline: from files and a number of threads; `open_heads` is None where another contender has
            the same heads.
    """

    label: str
    rounded: bool
    open_heads: Callable[[Files, int], Run] | None
    open_pipeline: Callable[[Files, int], Pipeline]


class WholeMasks(Detections):
    """Detections whose masks were made at image size: `mask_probabilities` are (D, H, W) bool."""

    def __getitem__(self, index: Any) -> WholeMasks:
        return WholeMasks(**vars(super().__getitem__(index)))

    def iter_masks(self) -> Any:
        """Each mask with the region that it covers: all of the image."""
        whole = Region(0, 0, *self.image_size)
        return ((whole, mask) for mask in self.masks)

    @property
    def masks(self) -> BoolArray:
        """The masks (D, H, W) bool, which were made at image size."""
        return self.mask_probabilities


class TorchPipeline:
    """The baseline in PyTorch, with results that can be compared with a detector's."""

    engine_ms = engine = None

    def __init__(self, files: Files, threads: int, *, compiled: bool) -> None:
        from benchmarks.cpu.runtimes.eager import EagerDetector

        self.metadata = files.metadata
        model = torch_network(files.path("weights.pth"), self.metadata.config, threads)
        self._detector = EagerDetector(model, self.metadata.postprocess, compiled=compiled)

    def __call__(self, images: Image | Sequence[Image]) -> Any:
        """The detections of an image, or a list of them for a list of images."""
        if isinstance(images, list | tuple):
            return [self(image) for image in images]
        boxes, scores, classes, masks = (array.numpy() for array in self._detector(images))
        height, width = images.shape[:2]
        boxes = boxes.clip(0, np.array([width, height, width, height], np.float32))
        return WholeMasks(boxes, scores, classes, None, masks, ImageTransform((height, width)))

    def stream(self, images: Any, in_flight: int, *, batch_size: int, top_k: int | None) -> DetectionStream:
        """The detections of many images, as `Detector.stream` gives them."""

        def find(some: Sequence[Image]) -> list[Any]:
            return [self(image)[:top_k] for image in some]

        return DetectionStream(find, images, batch_size=batch_size, in_flight=in_flight, streams=None)


def _onnx_engine(files: Files, name: str, threads: int) -> Engine:
    from yolact.runtime.onnx.engine import OnnxEngine

    return OnnxEngine(files.path(name), threads)


def _our_openvino(precision: ComputePrecision) -> Callable[[Files, str, int], Engine]:
    def open_engine(files: Files, name: str, threads: int) -> Engine:
        from yolact.runtime.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(files.path(name), threads, precision=precision)

    return open_engine


def _openvino(precision: str | None) -> Callable[[Files, str, int], Engine]:
    def open_engine(files: Files, name: str, threads: int) -> Engine:
        metadata = files.metadata_of(name)
        return ForeignEngine(openvino_run(files.path(name), metadata, threads, precision), metadata)

    return open_engine


def _ncnn_engine(files: Files, name: str, threads: int) -> Engine:
    param: Path = files.path(name)
    return ForeignEngine(ncnn_run(param, threads), files.metadata_of(name))


def _of_files(
    label: str, open_engine: Callable[[Files, str, int], Any], raw: str | None, full: str, *, rounded: bool = False
) -> Contender:
    """A contender that runs exported files, with this project's runtime before and after the network."""
    return Contender(
        label,
        rounded,
        None if raw is None else lambda files, threads: open_engine(files, raw, threads).run,
        lambda files, threads: TimedDetector(open_engine(files, full, threads)),
    )


def _of_torch(label: str, *, compiled: bool) -> Contender:
    def open_heads(files: Files, threads: int) -> Run:
        model = torch_network(files.path("weights.pth"), files.metadata.config, threads)
        return torch_run(model, compiled=compiled)

    return Contender(label, False, open_heads, lambda files, threads: TorchPipeline(files, threads, compiled=compiled))


CONTENDERS = {
    REFERENCE: _of_files("this project on ONNX Runtime, FP32", _onnx_engine, "raw.onnx", "full.onnx"),
    "ours-int8": _of_files(
        "this project on ONNX Runtime, INT8", _onnx_engine, "raw-int8.onnx", "full-int8.onnx", rounded=True
    ),
    "ours-raw-fp32": _of_files("this project on ONNX Runtime, raw graph, FP32", _onnx_engine, None, "raw.onnx"),
    "ours-raw-int8": _of_files(
        "this project on ONNX Runtime, raw graph, INT8", _onnx_engine, None, "raw-int8.onnx", rounded=True
    ),
    "ours-openvino-fp32": _of_files("this project on OpenVINO, FP32", _our_openvino("file"), "raw.onnx", "full.onnx"),
    "ours-openvino-auto": _of_files(
        "this project on OpenVINO, `--precision auto`", _our_openvino("auto"), "raw.onnx", "full.onnx", rounded=True
    ),
    "ours-openvino-int8": _of_files(
        "this project on OpenVINO, INT8", _our_openvino("file"), "raw-int8.onnx", "full-int8.onnx", rounded=True
    ),
    "ours-openvino-raw-int8": _of_files(
        "this project on OpenVINO, raw graph, INT8", _our_openvino("file"), None, "raw-int8.onnx", rounded=True
    ),
    BASELINE: _of_torch("PyTorch, eager", compiled=False),
    "compiled": _of_torch("PyTorch, `torch.compile`", compiled=True),
    "openvino-fp32": _of_files("OpenVINO, FP32", _openvino("f32"), "raw.onnx", "inlined.onnx"),
    "openvino-auto": _of_files(
        "OpenVINO, the precision it takes by itself", _openvino(None), "raw.onnx", "inlined.onnx", rounded=True
    ),
    "openvino-int8": _of_files(
        "OpenVINO, our INT8 file", _openvino("f32"), "raw-int8.onnx", "inlined-int8.onnx", rounded=True
    ),
    "ncnn-fp32": _of_files("ncnn, FP32, and our NumPy", _ncnn_engine, "raw.ncnn.param", "raw.ncnn.param"),
}
"""All contenders by the name that `--only` takes, in the order of the tables."""
