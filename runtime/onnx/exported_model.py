"""Reads an ONNX file of yolact-export as a graph, for whoever builds a plan from it or quantises it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yolact.runtime.contract import INPUT_NAME, input_spec
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.tensorrt.plan_file import read_plan_header

if TYPE_CHECKING:
    import onnx


class ExportedModel(NamedTuple):
    """The contents of an ONNX file of yolact-export.

    Attributes:
        proto: its contents.
        metadata: what yolact-export wrote into it about the model.
        batch: images per call where the file fixes it, else None.
        sha256: digest of the file.
    """

    proto: onnx.ModelProto
    metadata: ModelMetadata
    batch: int | None
    sha256: str


def read_exported_model(path: Path) -> ExportedModel:
    """Read an ONNX file written by yolact-export.

    Raises:
        EngineError: it is something else.
        YolactError: it cannot be read, or the onnx package is missing.
    """
    try:
        if read_plan_header(path) is not None:
            raise EngineError(f"{path} is a TensorRT plan already; give the ONNX file it was built from")
        data = path.read_bytes()
    except OSError as error:
        raise YolactError(f"{path} cannot be read: {error.strerror}") from error
    return parse_exported_model(data, str(path))


def parse_proto(data: bytes, source: str) -> onnx.ModelProto:
    """Parse the bytes of an ONNX file; `source` names it in errors.

    Raises:
        EngineError: it is something else, or damaged.
        YolactError: the onnx package is missing.
    """
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ModuleNotFoundError:
        raise YolactError(f"reading {source} as a graph needs onnx; install it with: pip install onnx") from None
    try:
        return ModelProto.FromString(data)
    except DecodeError:
        raise EngineError(f"{source} is no ONNX file, or a damaged one; export it with yolact-export") from None


def parse_exported_model(data: bytes, source: str) -> ExportedModel:
    """Parse the bytes of a file written by yolact-export; errors name it by `source`, as of `read_exported_model`."""
    proto = parse_proto(data, source)
    metadata = ModelMetadata.from_proto(proto, source)
    inputs = [one for one in proto.graph.input if one.name == INPUT_NAME]
    if not inputs:
        raise EngineError(f"{source} has no input {INPUT_NAME!r}; export it again with yolact-export")
    shape = inputs[0].type.tensor_type.shape.dim
    if len(shape) != 1 + len(input_spec(metadata.config).shape):
        raise EngineError(f"{source} has an input {INPUT_NAME!r} of {len(shape)} dimensions; export it again")
    size = shape[0].dim_value if shape[0].HasField("dim_value") else None
    return ExportedModel(proto, metadata, size, hashlib.sha256(data).hexdigest())
