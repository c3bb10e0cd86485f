"""Runs an exported model in ONNX Runtime against PyTorch before anyone relies on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import INPUT_NAME, output_specs
from yolact.runtime.errors import AccuracyError, EngineError
from yolact.runtime.metadata import Graph
from yolact.runtime.postprocess import ImageHeads, NetworkDetections, postprocess
from yolact.runtime.preprocess import Image, Preprocessor
from yolact.training.model import Yolact

MAX_HEAD_DIFFERENCE = 5e-3
"""Float32 convolutions summed in another order differ by about 1e-4 on logits; a wrong graph by far more."""

MAX_DETECTION_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Difference:
    """How far one output of the exported model is from its reference: largest absolute difference and the bound."""

    output: str
    largest: float
    bound: float


def verify_model(
    proto: onnx.ModelProto,
    model: Yolact,
    config: PostprocessConfig,
    graph: Graph,
    image: Image,
    batch: int | None,
) -> list[Difference]:
    """Compare every output on one image.

    Heads are compared with PyTorch's. Detections are compared with NumPy post-processing (and PyTorch re-scoring) of
    the very heads ONNX Runtime computed: a difference there is a wrong decision, not rounding in the convolutions.

    Args:
        image: (H, W, 3) uint8 BGR.
        batch: the fixed batch size of the file, or None.

    Raises:
        AccuracyError: an output differs by more than its bound, or is not finite.
        EngineError: ONNX Runtime cannot run the file.
    """
    pixels = np.repeat(Preprocessor(model.config.image_size)([image]), batch or 1, axis=0)
    outputs = _run(proto, model, config, graph, pixels)
    with torch.inference_mode():
        expected = model(model.normalize(torch.from_numpy(pixels[:1])))
    differences = [
        Difference(name, _largest(outputs[name][:1], getattr(expected, name).numpy()), MAX_HEAD_DIFFERENCE)
        for name in output_specs("raw", model.config, config)
    ]
    if graph == "full":
        differences += _compare_detections(outputs, model, config)
    for difference in differences:
        if not difference.largest <= difference.bound:  # NaN must fail too
            raise AccuracyError(
                f"exported output {difference.output!r} differs from PyTorch by {difference.largest:.3g}, more than "
                f"{difference.bound:g}; nothing was written, please report this with the checkpoint's configuration"
            )
    return differences


def _run(
    proto: onnx.ModelProto, model: Yolact, config: PostprocessConfig, graph: Graph, pixels: Image
) -> dict[str, NDArray[Any]]:
    """All outputs of the contract by name; a full graph is asked for its heads as well."""
    heads = output_specs("raw", model.config, config)
    probed = onnx.ModelProto()
    probed.CopyFrom(proto)
    present = {output.name for output in probed.graph.output}
    for name, spec in heads.items():
        if name not in present:
            dtype = helper.np_dtype_to_tensor_dtype(spec.dtype)
            probed.graph.output.append(helper.make_tensor_value_info(name, dtype, None))
    names = [*heads, *(output_specs("full", model.config, config) if graph == "full" else ())]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(probed.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, {INPUT_NAME: pixels}), strict=True))
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        reason = " ".join(str(error).split())
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} cannot run the exported model ({reason}); try a lower --opset"
        ) from error


def _compare_detections(outputs: dict[str, NDArray[Any]], model: Yolact, config: PostprocessConfig) -> list[Difference]:
    heads = ImageHeads(
        *(np.asarray(outputs[name][0], np.float32) for name in output_specs("raw", model.config, config))
    )
    expected = postprocess(heads, model.config, config)
    arrays: dict[str, NDArray[Any]] = {
        "boxes": expected.boxes,
        "scores": expected.scores,
        "masks": expected.masks,
    }
    if model.config.mask_rescoring:
        with torch.inference_mode():
            fit = model.predict_mask_iou(torch.from_numpy(expected.masks), torch.from_numpy(expected.class_ids).long())
        arrays["mask_scores"] = expected.scores * fit.numpy()
    count = int(outputs["num_detections"].ravel()[0])
    partner = _match(expected, outputs["boxes"][0][:count], outputs["classes"][0][:count])
    differences = [Difference("num_detections", abs(count - len(expected.scores)), 0)]
    for name, array in arrays.items():
        found = outputs[name][0][:count][partner]
        differences.append(Difference(name, _largest(found, array), MAX_DETECTION_DIFFERENCE))
    return differences


def _match(expected: NetworkDetections, boxes: NDArray[Any], classes: NDArray[Any]) -> Sequence[int] | NDArray[np.intp]:
    """For each expected detection the found one of its class whose box is nearest: equal scores may change places."""
    if len(boxes) == 0 or len(expected.boxes) == 0:
        return np.zeros(len(expected.boxes) if len(boxes) else 0, np.intp)
    distance = np.abs(expected.boxes[:, None] - boxes[None]).max(axis=2)
    distance[expected.class_ids[:, None] != classes[None]] = np.inf
    return distance.argmin(axis=1)


def _largest(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest absolute difference; NaN where any value is not finite, infinity where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
