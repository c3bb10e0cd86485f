"""Two measures of the cost of a change in a network: mask AP lost on annotated images, or the change of its heads."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from yolact.calib.image_set import ImageSet
from yolact.calib.inner_tensors import InnerTensors
from yolact.runtime.contract import HEADS
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import ModelMetadata
from yolact.training.data.class_pairing import check_categories
from yolact.training.data.ground_truth import GroundTruth
from yolact.training.evaluation.onnx_accuracy import measure_accuracy
from yolact.training.evaluation.reference import check_reference


class CostMeasure(Protocol):
    """Measures the cost of a network that was made from the original by rounding a part of it."""

    def __call__(self, proto: onnx.ModelProto) -> float:
        """The cost: the higher the worse, infinite where values of the network are not finite."""


class MaskApLoss:
    """Points of mask AP by which a network is below the original."""

    def __init__(self, proto: onnx.ModelProto, truth: GroundTruth, limit: float | None = None) -> None:
        """Measures the original; `limit` is the number of points that may be lost, None for no limit.

        Raises:
            DatasetError: nothing is annotated, the classes do not fit, or the original finds too little to judge by.
            EngineError: ONNX Runtime cannot run the network.
            ImageError: an image cannot be read.
        """
        self._truth = truth
        self.pairs = check_categories(ModelMetadata.from_proto(proto, "the network").config, truth)
        self.reference = measure_accuracy(proto, self._truth, progress=False).mask
        check_reference(self.reference, truth.source, limit or 0.0)

    def __call__(self, proto: onnx.ModelProto) -> float:
        return self.reference - measure_accuracy(proto, self._truth, progress=False).mask


class HeadDistance:
    """Root mean square of a head's differences relative to that of the head, for the worst of the four heads."""

    def __init__(self, proto: onnx.ModelProto, images: ImageSet) -> None:
        """Runs the original, and keeps its heads.

        Raises:
            EngineError: ONNX Runtime cannot run the network.
            ImageError: an image cannot be read.
        """
        preprocess = Preprocessor(ModelMetadata.from_proto(proto, "the network").config.image_size)
        self._batches = [pixels for pixels, _ in images.batches(preprocess, 1)]
        compute = InnerTensors(proto, HEADS)
        self._originals = [compute(pixels) for pixels in self._batches]
        squares = [[_square(head) for head in heads] for heads in self._originals]
        self._norms = np.maximum(np.sum(squares, axis=0), np.finfo(np.float64).tiny)

    def __call__(self, proto: onnx.ModelProto) -> float:
        compute, sums = InnerTensors(proto, HEADS), np.zeros(len(HEADS))
        for pixels, originals in zip(self._batches, self._originals, strict=True):
            sums += [_square(head - original) for head, original in zip(compute(pixels), originals, strict=True)]
        largest = float(np.sqrt(sums / self._norms).max())
        return largest if math.isfinite(largest) else math.inf


def _square(values: NDArray[np.float32]) -> float:
    return float(np.square(values, dtype=np.float64).sum())
