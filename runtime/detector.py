"""The runtime's front door: images in, detections out, whatever engine is behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import overload

import numpy as np

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detections import Detections
from yolact.runtime.engine import Engine
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.geometry import ImageTransform
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx_engine import OnnxEngine
from yolact.runtime.postprocess import NetworkDetections
from yolact.runtime.preprocess import Image, Preprocessor


class Detector:
    """Finds instances in images with an exported model.

    >>> with Detector.open("yolact.onnx") as detector:
    ...     detections = detector(cv2.imread("image.jpg")).select(score_threshold=0.15)
    ...     names = [detector.class_names[i] for i in detections.class_ids]
    """

    def __init__(self, engine: Engine) -> None:
        """Wrap an opened engine; use `Detector.open` for a file."""
        self._engine: Engine | None = engine
        self._preprocess = Preprocessor(engine.metadata.config.image_size)
        self.metadata: ModelMetadata = engine.metadata

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        postprocess: PostprocessConfig | None = None,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> Detector:
        """Load an engine file.

        Args:
            path: an ONNX file written by yolact-export.
            postprocess: NMS kind and limits for a raw graph instead of those it was exported with.
            threads: CPU threads per operator; None for one per physical core.
            providers: ONNX Runtime execution providers in order of preference.

        Raises:
            EngineError: the file is missing, is no such model, or does not keep the contract.
            UsageError: `postprocess` was given for a full graph, which has its own built in; `threads` is less than 1
                or a provider is not available.
        """
        path = Path(path)
        if not path.is_file():
            raise EngineError(f"there is no engine file {path}; make one with yolact-export")
        engine = OnnxEngine(path, threads, providers)
        if postprocess is not None:
            if engine.metadata.graph != "raw":
                raise UsageError(
                    f"{path} has its post-processing built in, so thresholds cannot be given when opening it; "
                    "export it with them, or with --graph raw"
                )
            engine.metadata = replace(engine.metadata, postprocess=postprocess)
        return cls(engine)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names that `Detections.class_ids` index."""
        return self.metadata.config.class_names

    @overload
    def __call__(self, images: Image) -> Detections: ...

    @overload
    def __call__(self, images: Sequence[Image]) -> list[Detections]: ...

    def __call__(self, images: Image | Sequence[Image]) -> Detections | list[Detections]:
        """Detect instances.

        Args:
            images: one image (H, W, 3) uint8 BGR, or a list of them in any sizes. A list runs as one batch, or in
                batches of the size the file was exported for.

        Returns:
            Detections in pixels of each original image, best first; a list for a list.

        Raises:
            ImageError: an array is no such image.
            EngineError: the detector was closed.
        """
        if not isinstance(images, (list, tuple)):  # one image, or no image at all, which the preprocessor reports
            return self._detect_batch([images])[0]  # type: ignore[list-item]
        size = (self._engine.batch_size if self._engine else None) or max(len(images), 1)
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        return [found for batch in batches for found in self._detect_batch(batch)]

    def _detect_batch(self, images: Sequence[Image]) -> list[Detections]:
        if self._engine is None:
            raise EngineError("this detector was closed; open the engine again")
        batch = self._preprocess(images)
        missing = (self._engine.batch_size or len(images)) - len(images)
        if missing:  # a file exported for a fixed batch runs full batches only
            batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.uint8)])
        found = self._engine.detect(batch)[: len(images)]
        return [in_image(detections, image.shape[:2]) for detections, image in zip(found, images, strict=True)]

    def close(self) -> None:
        """Free the engine. Calling it again does nothing."""
        self._engine = None

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_image(found: NetworkDetections, image_size: tuple[int, int]) -> Detections:
    """Detections in pixels of an image of this size (height, width), in the same order."""
    transform = ImageTransform(image_size)
    return Detections(
        boxes=transform.boxes_to_image(found.boxes),
        scores=found.scores,
        class_ids=found.class_ids,
        mask_scores=found.mask_scores,
        mask_probabilities=found.masks,
        transform=transform,
    )
