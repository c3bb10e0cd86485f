"""Reads an ONNX file of yolact-export as a graph, to build a plan from it or to quantise it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yolact.runtime.contract import INPUT_NAME, contradiction, input_spec
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.input_files import read_file
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.external_data import refuse_external_data
from yolact.runtime.packages import PackageMissing
from yolact.runtime.tensorrt.plan_file import read_plan_header

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message


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
        data = read_file(path)
    except OSError as error:
        raise YolactError(f"{path} cannot be read: {error.strerror}") from error
    return parse_exported_model(data, str(path))


def parse_proto(data: bytes, source: str) -> onnx.ModelProto:
    """Parse the bytes of an ONNX file; `source` names it in errors.

    Raises:
        EngineError: it is something else, or damaged, or keeps weights in other files.
        PackageMissing: onnx is not installed.
    """
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ModuleNotFoundError:
        raise PackageMissing(f"reading {source} as a graph", "onnx", "export") from None
    refuse_external_data(io.BytesIO(data), source)
    try:
        proto = ModelProto.FromString(data)
    except DecodeError:
        raise EngineError(f"{source} is no ONNX file, or a damaged one; export it with yolact-export") from None
    if not _has_only_text(proto):
        raise EngineError(f"{source} has names that are no UTF-8; export it again with yolact-export")
    return proto


def _has_only_text(message: Message) -> bool:
    """Whether all names in a model are text; protobuf hands out bytes for those that are no UTF-8."""
    if message.DESCRIPTOR.name == "TensorProto":  # not its values, which may be many
        return isinstance(message.name, str)
    for field, value in message.ListFields():
        parts = [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value
        if field.message_type is not None and not all(map(_has_only_text, parts)):
            return False
        if field.type == field.TYPE_STRING and not all(isinstance(part, str) for part in parts):
            return False
    return True


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
    for tensor in [*inputs, *proto.graph.output]:
        sizes = tuple(one.dim_value for one in tensor.type.tensor_type.shape.dim[1:])
        if why := contradiction(tensor.name, sizes, metadata.config, metadata.postprocess):
            raise EngineError(f"{source}: {why}export it again")
    size = shape[0].dim_value if shape[0].HasField("dim_value") else None
    return ExportedModel(proto, metadata, size, hashlib.sha256(data).hexdigest())
