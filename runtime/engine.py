"""What a detector asks of whatever runs the network: an exported file, a PyTorch module, a TensorRT plan."""

from __future__ import annotations

from typing import Protocol

from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess import NetworkDetections
from yolact.runtime.preprocess import Image


class Engine(Protocol):
    """Network and post-processing behind one call.

    Attributes:
        metadata: what the model is and how it post-processes.
        min_batch: fewest images per call.
        max_batch: most images per call, None where any number will do.
    """

    metadata: ModelMetadata
    min_batch: int
    max_batch: int | None

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR, S as in the metadata."""

    def close(self) -> None:
        """Free what the engine holds; it cannot be used any more. Calling it again does nothing."""
