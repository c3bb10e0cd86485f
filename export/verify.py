"""Runs an exported model in ONNX Runtime against PyTorch before anyone relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from yolact.runtime.config import ModelConfig, PostprocessConfig
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
    Where nothing is found in the image, the background's scores are lowered for that second comparison.

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
    differences = []
    for name in output_specs("raw", model.config, config):
        head = np.repeat(getattr(expected, name).numpy(), len(pixels), axis=0)
        differences.append(Difference(name, _largest(outputs[name], head), MAX_HEAD_DIFFERENCE))
    if graph == "full":
        if not outputs["num_detections"].any():  # nothing found would be nothing compared
            lively = _with_candidates(proto, outputs["confidences"], model.config)
            outputs = _run(lively, model, config, graph, pixels)
        per_image = [
            _compare_detections({name: array[i] for name, array in outputs.items()}, model, config)
            for i in range(len(pixels))
        ]
        differences += [max(same, key=_badness) for same in zip(*per_image, strict=True)]
    for difference in differences:
        if not difference.largest <= difference.bound:  # NaN must fail too
            raise AccuracyError(
                f"exported output {difference.output!r} differs from PyTorch by {difference.largest:.3g}, more than "
                f"{difference.bound:g}; nothing was written, please report this with the checkpoint's configuration"
            )
    return differences


def _badness(difference: Difference) -> float:
    return float("inf") if np.isnan(difference.largest) else difference.largest


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
    """One image's outputs, without batch dimension."""
    heads = ImageHeads(*(outputs[name] for name in output_specs("raw", model.config, config)))
    expected = postprocess(heads, model.config, config)
    arrays = {"boxes": expected.boxes, "scores": expected.scores, "masks": expected.masks}
    if model.config.mask_rescoring:
        with torch.inference_mode():
            classes = torch.from_numpy(expected.class_ids).long()
            fit = model.predict_mask_iou(torch.from_numpy(expected.masks), classes)
        arrays["mask_scores"] = expected.scores * fit.numpy()
    count = int(outputs["num_detections"].item())
    ours, theirs = _match(expected, outputs["boxes"][:count], outputs["classes"][:count])
    past_count = [np.abs(outputs[name][count:]).max(initial=0) for name in (*arrays, "classes")]
    ascents = np.diff(outputs["scores"][:count]).max(initial=0)
    return [
        Difference("num_detections", abs(count - len(expected.scores)), 0),
        Difference("classes", max(len(expected.scores), count) - len(ours), 0),
        Difference("order, padding", float(max(ascents, *past_count)), 0),
        *(
            Difference(name, _largest(outputs[name][ours], array[theirs]), MAX_DETECTION_DIFFERENCE)
            for name, array in arrays.items()
        ),
    ]


def _match(expected: NetworkDetections, boxes: NDArray[Any], classes: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Pairs of found and expected detections: same class, nearest box, each once. Equal scores may change places."""
    ours: list[int] = []
    theirs: list[int] = []
    for index, (class_id, box) in enumerate(zip(expected.class_ids, expected.boxes, strict=True)):
        distance = np.where(classes == class_id, np.abs(boxes - box).max(axis=1, initial=0), np.inf)
        distance[ours] = np.inf
        if len(distance) and np.isfinite(distance.min()):
            ours.append(int(distance.argmin()))
            theirs.append(index)
    return ours, theirs


def _largest(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest absolute difference; NaN where any value is not finite, infinity where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0))
