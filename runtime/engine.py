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
        batch_size: images per call where the engine fixes it, None where any number will do.
    """

    metadata: ModelMetadata
    batch_size: int | None

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR, S as in the metadata."""
