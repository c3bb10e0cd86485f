"""Opens engine files of every kind: the one place that chooses the runtime by a file's first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yolact.runtime.engine import CPU, DEFAULT_OPTIONS, EngineOptions
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.input_files import no_file
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.exported_model import parse_proto
from yolact.runtime.tensorrt.plan_file import read_plan_header, read_sidecar

if TYPE_CHECKING:
    from yolact.runtime.onnx.engine import OnnxEngine
    from yolact.runtime.openvino.engine import OpenVinoEngine
    from yolact.runtime.tensorrt.engine import TensorRTEngine

PLAN_SUFFIXES = (".plan", ".engine", ".trt")
"""Names by which users and tools know TensorRT plans; ours end in the first."""


def open_engine(path: Path, options: EngineOptions = DEFAULT_OPTIONS) -> OnnxEngine | OpenVinoEngine | TensorRTEngine:
    """Open an ONNX file or a TensorRT plan.

    Args:
        path: written by yolact-export or yolact-build.
        options: the device and how it is used.

    Raises:
        EngineError: the file is missing, is neither, or cannot run here.
        UsageError: options for the other kind of file.
    """
    if not path.is_file():
        raise EngineError(f"{no_file(path, 'engine file')}; make one with yolact-export")
    if read_plan_header(path) is None:
        if path.suffix.lower() in PLAN_SUFFIXES:
            raise EngineError(
                f"{path} is no TensorRT plan, which begins with ftrt or vtrt; an ONNX file should be called .onnx, "
                "anything else is damaged: build it again with yolact-build"
            )
        if options.metadata_file is not None:
            raise UsageError(f"{path} is an ONNX file and has its metadata inside; leave out --metadata")
        return _open_onnx(path, options)
    if path.suffix.lower() == ".onnx":
        raise EngineError(f"{path} is a TensorRT plan, not an ONNX file; rename it to {path.with_suffix('.plan')}")
    if options.threads is not None:
        raise UsageError(f"{path} is a TensorRT plan; threads are for ONNX files")
    device = options.device
    if device is not None and device.kind != "cuda":
        raise UsageError(f"{path} is a TensorRT plan, which runs on cuda, got {device}")
    from yolact.runtime.tensorrt.plan_opening import open_plan

    metadata = None if options.metadata_file is None else read_metadata(options.metadata_file)
    return open_plan(path, device.index if device else 0, metadata, allow_host_code=options.allow_host_code)


def _open_onnx(path: Path, options: EngineOptions) -> OnnxEngine | OpenVinoEngine:
    device = options.device or CPU
    if device.kind == "openvino":
        from yolact.runtime.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(path, options.threads, device, options.precision)
    try:
        from yolact.runtime.onnx.engine import OnnxEngine
    except ImportError as error:
        raise EngineError(
            f"ONNX files need onnxruntime, which does not load ({error}); install it with: pip install onnxruntime"
        ) from error
    return OnnxEngine(path, options.threads, device, throughput=options.throughput)


def read_metadata(path: Path) -> ModelMetadata:
    """The metadata in a sidecar or an ONNX file, also one that only TensorRT can run.

    Raises:
        EngineError: there is none.
        YolactError: it is an ONNX file and the onnx package is missing.
    """
    if not path.is_file():
        raise EngineError(f"{no_file(path, 'file to take metadata from')}; give an ONNX file or a plan's .json")
    if path.suffix.lower() == ".json":
        return read_sidecar(path)[1]
    return ModelMetadata.from_proto(parse_proto(path.read_bytes(), str(path)), str(path))
