"""What engines for exported ONNX files share, whatever runs the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.postprocess.output_check import OutputCheck
from yolact.runtime.postprocess.postprocess import NetworkDetections


class OnnxFileEngine(ABC):
    """An engine whose outputs come in the order of the contract.

    Attributes:
        min_batch: fewest images per call.
        max_batch: most images per call, None where any number will do.
        streams: calls by several threads that are worth making at once.
    """

    streams = 1

    def __init__(self, metadata: ModelMetadata, fixed_batch: int | None, most: int | None = None) -> None:
        """Prepare for a file.

        Args:
            metadata: of the file.
            fixed_batch: the only number of images per call that the file takes, None where it takes any.
            most: most images per call where the file takes any, None without a limit.
        """
        self._metadata = metadata
        self._check = OutputCheck(metadata.config)
        self.min_batch: int = fixed_batch or 1
        self.max_batch: int | None = fixed_batch or most

    @property
    def metadata(self) -> ModelMetadata:
        """The model and its post-processing."""
        return self._metadata

    def set_postprocess(self, settings: PostprocessConfig) -> None:
        """Post-process by these settings from now on. Raises UsageError where a full graph has its own built in."""
        self._metadata = self._metadata.with_postprocess(settings)

    @abstractmethod
    def run(self, images: Image) -> list[NDArray[Any]]:
        """Outputs in contract order for a batch (N, S, S, 3) uint8 BGR.

        Raises EngineError where the run fails, mostly because memory does not suffice, or the engine was closed.
        """

    def detect(self, images: Image) -> list[NetworkDetections]:
        """Detections of each image of a batch (N, S, S, 3) uint8 BGR."""
        return self.collect(self.run(images))

    def collect(self, outputs: list[NDArray[Any]]) -> list[NetworkDetections]:
        """Detections of each image from the outputs of `run`; heads of a raw graph are post-processed here.

        Impossible detections are left out, see `OutputCheck`.
        """
        return self._check.of_batch(outputs, self.metadata)

    def close(self) -> None:
        """Free what collects the detections."""
        self._check.close()
