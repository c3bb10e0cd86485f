"""An engine that is another model of the same Triton server, such as a plan in its tensorrt backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME, output_specs
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess.output_check import OutputCheck
from yolact.runtime.postprocess.postprocess import NetworkDetections


class BackendEngine:
    """Requests the tensors of the contract from a model; the server hands them over in shared memory (BLS).

    All images of a batch are one request, so that batches are not split.
    """

    device = "triton"
    streams = 1

    def __init__(self, model: str, metadata: ModelMetadata, batches: tuple[int, int]) -> None:
        """`model`: name of the model; `batches`: fewest and most images of a request."""
        self._model, self.metadata = model, metadata
        self.min_batch, self.max_batch = batches
        self._names = list(output_specs(metadata.graph, metadata.config, metadata.postprocess))
        self._check = OutputCheck(metadata.config)

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR. Raises EngineError where the model fails."""
        request = pb_utils.InferenceRequest(
            model_name=self._model,
            requested_output_names=self._names,
            inputs=[pb_utils.Tensor(INPUT_NAME, np.ascontiguousarray(images))],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        )
        response = request.exec()
        if response.has_error():
            raise EngineError(f"{self._model}: {response.error().message()}")
        outputs: list[NDArray[Any]] = [
            pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in self._names
        ]
        return self._check.of_batch(outputs, self.metadata)

    def close(self) -> None:
        """Report the detections that were left out."""
        self._check.close()
