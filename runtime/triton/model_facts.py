"""Facts in a model's configuration on a Triton server: written by `yolact-triton`, read by model and client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from yolact.runtime.config import MAX_KEPT
from yolact.runtime.errors import EngineError
from yolact.runtime.fields import FieldError, fraction, one_of, text, whole
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.selection import Selection
from yolact.runtime.triton import wire
from yolact.runtime.triton.wire import MASK_CODINGS, MaskCoding

_WIRE, _MASKS, _ENGINE, _SHA256 = "serving.wire", "serving.masks", "serving.engine", "serving.engine_sha256"
_THRESHOLD, _TOP_K = "serving.score_threshold", "serving.top_k"
_INNER, _MIN_BATCH = "serving.engine_model", "serving.min_batch"

_HEX_DIGITS = 64


@dataclass(frozen=True)
class ModelFacts:
    """The parameters of a model's configuration.

    Attributes:
        metadata: of the model.
        masks: how they cross the wire.
        engine: name of the engine file in the version's folder.
        engine_sha256: digest of its contents.
        usual: the selection for requests that do not ask for another.
        engine_model: name of the Triton model that runs the network; empty where our own runtime does.
        min_batch: fewest images that this one takes.
    """

    metadata: ModelMetadata
    masks: MaskCoding
    engine: str
    engine_sha256: str
    usual: Selection
    engine_model: str = ""
    min_batch: int = 1

    def to_parameters(self) -> dict[str, str]:
        """As texts by name, for `ModelConfig.parameters`."""
        return {
            **self.metadata.to_props(),
            _WIRE: wire.VERSION,
            _MASKS: self.masks,
            _ENGINE: self.engine,
            _SHA256: self.engine_sha256,
            _THRESHOLD: to_json(self.usual.score_threshold),
            _TOP_K: to_json(self.usual.top_k),
            _INNER: self.engine_model,
            _MIN_BATCH: to_json(self.min_batch),
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str], source: str) -> ModelFacts:
        """Inverse of `to_parameters`; `source` names the model in errors.

        Raises EngineError where they are missing, damaged, or of another version of this toolkit.
        """
        version = parameters.get(_WIRE)
        if version is None:
            raise EngineError(f"{source} is no model that yolact-triton wrote; write its folder with that")
        if version != wire.VERSION:
            raise EngineError(
                f"{source} has version {version} of this toolkit's tensors, expected {wire.VERSION}; "
                "install the same version of yolact on both sides, and write the model with yolact-triton again"
            )
        try:
            threshold = fraction("score_threshold", from_json(parameters[_THRESHOLD]))
            top_k = from_json(parameters[_TOP_K])
            return cls(
                ModelMetadata.from_props(dict(parameters), source),
                cast(MaskCoding, one_of("masks", parameters[_MASKS], MASK_CODINGS)),
                text("engine", parameters[_ENGINE], 255),
                text("engine_sha256", parameters[_SHA256], _HEX_DIGITS),
                Selection(threshold, None if top_k is None else whole("top_k", top_k, 0, MAX_KEPT)),
                text("engine_model", parameters[_INNER], 255),
                whole("min_batch", from_json(parameters[_MIN_BATCH]), 1, MAX_KEPT),
            )
        except (KeyError, FieldError, ValueError) as error:
            raise EngineError(
                f"{source} has damaged parameters ({error}); write it with yolact-triton again"
            ) from error
