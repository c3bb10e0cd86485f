"""Two ways to tell what a change of a network costs: mask AP on annotated images, or how far its heads move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from yolact.calib.image_set import ImageSet
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.detector import Detector
from yolact.runtime.errors import DatasetError, EngineError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx_engine import OnnxEngine
from yolact.runtime.preprocess import Image, Preprocessor
from yolact.training.evaluation import evaluate_on
from yolact.training.ground_truth import GroundTruth, check_categories

HEADS = ("locations", "confidences", "coefficients", "prototypes")
"""Tensors by these names are in full graphs as in raw ones."""


class CostMeasure(Protocol):
    """Costs of networks that were made from one."""

    def __call__(self, proto: onnx.ModelProto) -> float:
        """The higher the worse, infinite where values are not finite."""


class MaskApLoss:
    """Points of mask AP that a network has less than the original."""

    def __init__(self, proto: onnx.ModelProto, truth: GroundTruth) -> None:
        """Measures the original.

        Raises:
            DatasetError: nothing is annotated, or the classes are others.
            EngineError: ONNX Runtime cannot run the network.
            ImageError: an image cannot be read.
        """
        self._truth = truth
        check_categories(ModelMetadata.from_props(_props(proto), "the network").config, truth)
        self.reference = self._mask_ap(proto)

    def __call__(self, proto: onnx.ModelProto) -> float:
        return self.reference - self._mask_ap(proto)

    def _mask_ap(self, proto: onnx.ModelProto) -> float:
        """In percent."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            onnx.save(proto, path)
            engine = OnnxEngine(path)
        with Detector(engine) as detector:
            ap = evaluate_on(detector, self._truth, progress=False).scores.mask.ap
        if ap is None:
            raise DatasetError(f"{self._truth.source}: no object is annotated on these images; AP needs some")
        return 100 * ap


class HeadDistance:
    """Root mean square of the heads' differences relative to that of the heads; of four heads the largest."""

    def __init__(self, proto: onnx.ModelProto, images: ImageSet) -> None:
        """Runs the original, and keeps its heads.

        Raises:
            EngineError: ONNX Runtime cannot run the network.
            ImageError: an image cannot be read.
        """
        preprocess = Preprocessor(ModelMetadata.from_props(_props(proto), "the network").config.image_size)
        self._batches = [pixels for pixels, _ in images.batches(preprocess, 1)]
        session = _open(proto)
        self._originals = [_run_heads(session, pixels) for pixels in self._batches]
        squares = [[_square(head) for head in heads] for heads in self._originals]
        self._norms = np.maximum(np.sum(squares, axis=0), np.finfo(np.float64).tiny)

    def __call__(self, proto: onnx.ModelProto) -> float:
        session, sums = _open(proto), np.zeros(len(HEADS))
        for pixels, originals in zip(self._batches, self._originals, strict=True):
            heads = _run_heads(session, pixels)
            sums += [_square(head - original) for head, original in zip(heads, originals, strict=True)]
        largest = float(np.sqrt(sums / self._norms).max())
        return largest if math.isfinite(largest) else math.inf


def _square(values: NDArray[np.float32]) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _open(proto: onnx.ModelProto) -> Any:
    """A session that computes the heads and nothing after them."""
    headed = onnx.ModelProto()
    headed.CopyFrom(proto)
    del headed.graph.output[:]
    headed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in HEADS)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(headed.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise EngineError(f"ONNX Runtime cannot open the network ({' '.join(str(error).split())})") from error


def _run_heads(session: Any, pixels: Image) -> Sequence[NDArray[np.float32]]:
    try:
        heads: list[NDArray[np.float32]] = session.run(list(HEADS), {INPUT_NAME: pixels})
    except Exception as error:
        raise EngineError(f"ONNX Runtime cannot run the network ({' '.join(str(error).split())})") from error
    return heads


def _props(proto: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in proto.metadata_props}
