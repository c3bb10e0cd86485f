"""The values of tensors inside a network, computed by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.graph_outputs import with_only_outputs
from yolact.runtime.onnx.session import open_session, run_session


class InnerTensors:
    """Computes chosen tensors of a network, and only the nodes that they need."""

    def __init__(self, proto: onnx.ModelProto, tensors: Sequence[str]) -> None:
        """Raises EngineError where ONNX Runtime cannot open the network."""
        self._tensors = tensors
        self._session = open_session(with_only_outputs(proto, tensors))

    def __call__(self, images: Image) -> list[NDArray[Any]]:
        """The values of the tensors, in the order in which they were named, for a batch (N, S, S, 3) uint8 BGR.

        Raises EngineError where ONNX Runtime fails.
        """
        return run_session(self._session, self._tensors, {INPUT_NAME: images})
