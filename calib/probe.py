"""Any tensors of a network, on ONNX Runtime's CPU provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.wording import one_line


class Probe:
    """Computes some tensors of a network and nothing that only others need."""

    def __init__(self, proto: onnx.ModelProto, tensors: Sequence[str]) -> None:
        """Raises EngineError where ONNX Runtime cannot open the network."""
        self._tensors = list(tensors)
        probed = onnx.ModelProto()
        probed.CopyFrom(proto)
        del probed.graph.output[:]
        probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        try:
            self._session = onnxruntime.InferenceSession(probed.SerializeToString(), settings, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise EngineError(f"ONNX Runtime cannot open the network ({one_line(error)})") from error

    def __call__(self, images: Image) -> list[NDArray[Any]]:
        """Their values for a batch (N, S, S, 3) uint8 BGR. Raises EngineError where ONNX Runtime fails."""
        try:
            values: list[NDArray[Any]] = self._session.run(self._tensors, {INPUT_NAME: images})
        except Exception as error:
            raise EngineError(f"ONNX Runtime cannot run the network ({one_line(error)})") from error
        return values
