"""The metadata inside a model file, so that clients need no other source about the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, cast, get_args

from yolact.runtime.config import MAX_NAME, ModelConfig, PostprocessConfig
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.fields import entries, exactly, one_of, shown, text, whole
from yolact.runtime.json_text import from_json, to_json

if TYPE_CHECKING:
    import onnx

SCHEMA_VERSION = 4
_PREFIX = "yolact."
CONFIG_KEY = f"{_PREFIX}config"
QUANTIZATION_KEY = f"{_PREFIX}quantization"

MAX_LAYERS = 100_000
"""Layers that a quantisation can exclude."""

Graph = Literal["full", "raw"]
Precision = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class Quantization:
    """The parts of a network that compute in INT8, and their calibration.

    Attributes:
        platform: the target of the rounding, ``tensorrt`` or ``cpu``.
        modules: parts of the network.
        exclude: layers in them that stay in the network's precision.
        algorithm: how ranges were chosen.
        images: number of images calibrated on.
        images_sha256: digest of their names and contents.
    """

    platform: str
    modules: tuple[str, ...]
    exclude: tuple[str, ...]
    algorithm: str
    images: int
    images_sha256: str

    @classmethod
    def from_json(cls, written: str) -> Quantization:
        """From its text in the metadata. Raises ValueError for any other text."""
        known = exactly("the quantisation", from_json(written), tuple(field.name for field in fields(cls)))
        word = partial(text, most=MAX_NAME)
        return cls(
            platform=word("platform", known["platform"]),
            modules=entries("modules", known["modules"], word, most=MAX_LAYERS),
            exclude=entries("exclude", known["exclude"], word, most=MAX_LAYERS),
            algorithm=word("algorithm", known["algorithm"]),
            images=whole("images", known["images"], 0, 2**53),
            images_sha256=word("images_sha256", known["images_sha256"]),
        )


@dataclass(frozen=True)
class ModelMetadata:
    """Contents of the ONNX `metadata_props`, all under keys that start with `yolact.`.

    Attributes:
        graph: ``full`` ends in detections, ``raw`` in the heads.
        config: architecture, image size and class names.
        postprocess: thresholds and limits (what a full graph has built in; a default for raw ones).
        weights_sha256: digest of the checkpoint file the model was exported from.
        tool_version: version of this toolkit that wrote the file.
        precision: type of the network's weights and activations, of those in INT8 the one they are rounded from.
        quantization: of a network in INT8, else None.
    """

    graph: Graph
    config: ModelConfig
    postprocess: PostprocessConfig
    weights_sha256: str
    tool_version: str
    precision: Precision = "fp32"
    quantization: Quantization | None = None

    @property
    def types(self) -> str:
        """The number types that the network computes in, for people: ``fp16``, or ``fp32 with INT8``."""
        return self.precision if self.quantization is None else f"{self.precision} with INT8"

    def check_for_tensorrt(self) -> None:
        """Raise EngineError for a network that is rounded in a way that TensorRT does not take."""
        if self.quantization is not None and self.quantization.platform == "cpu":
            raise EngineError(
                "the ONNX file is rounded to INT8 for ONNX Runtime on a CPU, in a form that TensorRT does not take; "
                "export it again with --int8 --int8-platform tensorrt"
            )

    def with_postprocess(self, settings: PostprocessConfig) -> ModelMetadata:
        """The same model with other post-processing. Raises UsageError for a full graph, which has its own built in."""
        if self.graph != "raw":
            raise UsageError(
                "this graph has its post-processing built in, so thresholds cannot be given when it is opened; "
                "export it with them, or with --graph raw"
            )
        return replace(self, postprocess=settings)

    def to_props(self) -> dict[str, str]:
        """The metadata as string pairs for `metadata_props`; structured values are JSON."""
        props = {
            f"{_PREFIX}schema_version": str(SCHEMA_VERSION),
            f"{_PREFIX}graph": self.graph,
            CONFIG_KEY: to_json(self.config.to_json()),
            f"{_PREFIX}postprocess": to_json(asdict(self.postprocess)),
            f"{_PREFIX}preprocessing": "BGR uint8, stretched to the square input, bilinear, no antialiasing",
            f"{_PREFIX}weights_sha256": self.weights_sha256,
            f"{_PREFIX}tool_version": self.tool_version,
            f"{_PREFIX}precision": self.precision,
        }
        if self.quantization is not None:
            props[QUANTIZATION_KEY] = to_json(asdict(self.quantization))
        return props

    @classmethod
    def from_proto(cls, proto: onnx.ModelProto, source: str) -> ModelMetadata:
        """The metadata in an ONNX model; `source` names it in errors. Raises EngineError as `from_props` does."""
        return cls.from_props({entry.key: entry.value for entry in proto.metadata_props}, source)

    @classmethod
    def from_props(cls, props: object, source: str) -> ModelMetadata:
        """Inverse of `to_props`; `source` names the file in errors.

        Raises EngineError where the keys are missing, damaged, or of another schema.
        """
        version = props.get(f"{_PREFIX}schema_version") if isinstance(props, dict) else None
        if version is None or not isinstance(props, dict):
            raise EngineError(
                f"{source} carries no YOLACT metadata, so it was not made by yolact-export; export the checkpoint with "
                "`yolact-export --weights <checkpoint>.pth`"
            )
        if version != str(SCHEMA_VERSION):
            raise EngineError(
                f"{source} has metadata schema {shown(version).strip(chr(39))}, this runtime reads {SCHEMA_VERSION}; "
                "export it again with this version of yolact-export"
            )
        try:
            return cls(
                graph=cast(Graph, one_of("graph", _prop(props, "graph"), get_args(Graph))),
                config=ModelConfig.from_json(from_json(_prop(props, "config"))),
                postprocess=PostprocessConfig.from_json(from_json(_prop(props, "postprocess"))),
                weights_sha256=text("weights_sha256", _prop(props, "weights_sha256"), MAX_NAME),
                tool_version=text("tool_version", _prop(props, "tool_version"), MAX_NAME),
                precision=cast(Precision, one_of("precision", _prop(props, "precision"), get_args(Precision))),
                quantization=Quantization.from_json(_prop(props, "quantization"))
                if QUANTIZATION_KEY in props
                else None,
            )
        except ValueError as error:
            raise EngineError(f"{source} has damaged YOLACT metadata ({error}); export it again") from error


def _prop(props: Mapping[str, object], name: str) -> str:
    """A text of the metadata. Raises ValueError where it is missing or none."""
    value = props.get(_PREFIX + name)
    if not isinstance(value, str):
        raise ValueError(f"{_PREFIX}{name} is {'no text' if value is not None else 'missing'}")
    return value
