"""Compares an exported model, run by ONNX Runtime, with PyTorch before the file is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from yolact.export.comparison import Arithmetic, Difference, compare_detections, compare_head, count_found_again
from yolact.export.half_emulation import emulate_half
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import HEADS, INPUT_NAME, output_specs
from yolact.runtime.errors import AccuracyError, EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor
from yolact.runtime.metadata import Graph, Precision
from yolact.runtime.onnx.graph_outputs import with_more_outputs
from yolact.runtime.onnx.session import open_session, run_session
from yolact.runtime.postprocess.postprocess import ImageHeads, postprocess
from yolact.training.models.model import Yolact

NOT_HALF = "this network needs full precision"
OTHER_OPSET = "try a lower --opset"
NEWER_RUNTIME = "bf16 needs ONNX Runtime 1.21 or later; update it with pip install -U onnxruntime"


@dataclass(frozen=True)
class Verification:
    """The results of a comparison.

    Attributes:
        differences: the largest of all images, by output; see `comparison.compare_head` for those of heads.
        found_again: how many of the float32 network's confident detections the export finds too.
        confident: how many confident detections the float32 network has.
    """

    differences: list[Difference]
    found_again: int
    confident: int


def verify_model(
    proto: onnx.ModelProto,
    model: Yolact,
    config: PostprocessConfig,
    graph: Graph,
    images: Sequence[Image],
    batch: int | None,
    arithmetic: Arithmetic = "fp32",
) -> Verification:
    """Compare every output on some images.

    Heads are compared with PyTorch's in float32. Detections are compared with NumPy post-processing (and PyTorch
    re-scoring) of the same heads that ONNX Runtime computed, so a difference is a wrong decision and not rounding in
    the convolutions. Where an image has no detections, the background's scores are lowered for this second comparison.
    A model in half precision is emulated, see `half_emulation`.

    Args:
        images: at least one (H, W, 3) uint8 BGR.
        batch: the fixed batch size of the file, or None.
        arithmetic: the type that the file computes in. For INT8, only the heads are compared, without a bound:
            post-processing was compared before the model was quantised.

    Raises:
        AccuracyError: an output differs by more than its bound, or is not finite.
        EngineError: ONNX Runtime cannot run the file.
    """
    if arithmetic != "int8":  # which was checked before it was quantised
        check_weights(proto, arithmetic)
    check = _Check(proto if arithmetic == "fp32" else emulate_half(proto), model, config, graph, arithmetic)
    per_image = [check.compare(np.repeat(check.preprocess([image]), batch or 1, axis=0)) for image in images]
    differences = [
        max(same, key=lambda one: one.badness) for same in zip(*(one.differences for one in per_image), strict=True)
    ]
    _check_bounds(differences, arithmetic)
    return Verification(differences, sum(one.found_again for one in per_image), sum(one.confident for one in per_image))


def _check_bounds(differences: Sequence[Difference], arithmetic: Arithmetic) -> None:
    for difference in differences:
        if not difference.largest <= difference.bound:  # so that NaN fails too
            raise AccuracyError(
                f"exported output {difference.output!r} differs from PyTorch by {difference.largest:.3g}, more than "
                f"{difference.bound:g}; nothing was written, "
                + ("please report this with the checkpoint's configuration" if arithmetic == "fp32" else NOT_HALF)
            )


def check_weights(proto: onnx.ModelProto, precision: Precision) -> None:
    """Raise AccuracyError where weights are not finite, such as those beyond 65504 in fp16."""
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        wrong = 0 if values.dtype.kind in "iub" else int((~np.isfinite(values.astype(np.float32))).sum())
        if wrong:
            raise _not_finite(tensor.name, wrong, values.size, precision)


def _not_finite(name: str, wrong: int, size: int, arithmetic: Arithmetic) -> AccuracyError:
    advice = {"fp16": "try --bf16, whose range is wider", "bf16": NOT_HALF}.get(arithmetic, "check the checkpoint")
    return AccuracyError(
        f"{wrong} of {size} values of {name!r} are not finite in {arithmetic}; nothing was written, {advice}"
    )


class _Check:
    """One model in ONNX Runtime, with PyTorch's beside it."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        model: Yolact,
        config: PostprocessConfig,
        graph: Graph,
        arithmetic: Arithmetic,
    ) -> None:
        self.preprocess = Preprocessor(model.config.image_size)
        self._proto, self._model, self._config, self._arithmetic = proto, model, config, arithmetic
        self._finals = (
            list(output_specs("full", model.config, config)) if graph == "full" and arithmetic != "int8" else []
        )
        self._advice = NEWER_RUNTIME if arithmetic == "bf16" else OTHER_OPSET  # bf16 has no lower opset
        self._session = self._open(proto)

    def compare(self, pixels: Image) -> Verification:
        """One image (N, S, S, 3), repeated to the batch the file takes."""
        outputs = self._run(self._session, pixels)
        with torch.inference_mode():
            expected = self._model(self._model.normalize(torch.from_numpy(pixels[:1])))
        heads = {name: getattr(expected, name).numpy() for name in HEADS}
        differences = []
        for name, head in heads.items():
            self._check_finite(name, outputs[name])
            differences.append(
                compare_head(name, outputs[name], np.repeat(head, len(pixels), axis=0), self._arithmetic)
            )
        reference = self._postprocess({name: head[0] for name, head in heads.items()})
        again = count_found_again(self._postprocess({name: outputs[name][0] for name in heads}), reference)
        if self._finals:
            differences += self._compare_finals(outputs, pixels)
        return Verification(differences, *again)

    def _compare_finals(self, outputs: dict[str, NDArray[Any]], pixels: Image) -> list[Difference]:
        if not outputs["num_detections"].any():  # nothing found would be nothing compared
            lively = _with_candidates(self._proto, outputs["confidences"], self._model.config)
            outputs = self._run(self._open(lively), pixels)
        per_image = [
            compare_detections(
                {name: array[i] for name, array in outputs.items()}, self._model, self._config, self._arithmetic
            )
            for i in range(len(pixels))
        ]
        return [max(same, key=lambda one: one.badness) for same in zip(*per_image, strict=True)]

    def _postprocess(self, heads: dict[str, NDArray[Any]]) -> Any:
        return postprocess(ImageHeads(**heads), self._model.config, self._config)

    def _check_finite(self, name: str, values: NDArray[Any]) -> None:
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise _not_finite(name, wrong, values.size, self._arithmetic)

    def _open(self, proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
        """A session that also gives the heads of a full graph."""
        try:
            return open_session(with_more_outputs(proto, HEADS))
        except EngineError as error:
            raise EngineError(f"{error}; {self._advice}") from error

    def _run(self, session: onnxruntime.InferenceSession, pixels: Image) -> dict[str, NDArray[Any]]:
        """All outputs of the contract by name, the heads first."""
        names = [*HEADS, *self._finals]
        try:
            return dict(zip(names, run_session(session, names, {INPUT_NAME: pixels}), strict=True))
        except EngineError as error:
            raise EngineError(f"{error}; {self._advice}") from error


def _with_candidates(proto: onnx.ModelProto, confidences: NDArray[Any], config: ModelConfig) -> onnx.ModelProto:
    """A copy whose background scores are lowered until about a hundred priors of this image are candidates."""
    gap = np.sort((confidences[..., 0] - confidences[..., 1:].max(axis=-1)).ravel())
    lively = onnx.ModelProto()
    lively.CopyFrom(proto)
    bias = next(t for t in lively.graph.initializer if t.name == "prediction_layers.0.conf_layer.bias")
    values = numpy_helper.to_array(bias).copy()
    values[:: config.num_classes + 1] -= gap[min(100, len(gap) - 1)]
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return lively
