"""The model-local functions `YolactFastNms` and `YolactMaskAssembly`, in standard ONNX operators.

A TensorRT plugin of the same name replaces the body where one is registered; every other runtime inlines the body. All
shapes in the bodies are fixed. Sizes and thresholds are constants in the body, and attributes of the call for the
plugin; both are written from the same values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import DTypeLike

from yolact.export.graph_builder import GraphBuilder
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import DETECTION_COEFFICIENTS, PLUGIN_NAMESPACE, PLUGIN_VERSION
from yolact.runtime.postprocess.mask_assembly import CROP_PADDING
from yolact.runtime.postprocess.nms import CENTRE_VARIANCE, SIZE_VARIANCE

FAST_NMS = "YolactFastNms"
MASK_ASSEMBLY = "YolactMaskAssembly"

PLUGIN_ATTRIBUTES: dict[str, Any] = {"plugin_namespace": PLUGIN_NAMESPACE, "plugin_version": PLUGIN_VERSION}

MASK_ASSEMBLY_ATTRIBUTES: dict[str, Any] = {"crop_padding": CROP_PADDING}
"""Attributes of a `YolactMaskAssembly` call, for the plugin."""

_GROUP = 16
"""Priors that share one entry in the first, coarse top-k."""

_EXACT_TIE = 5e-7
"""Relative slack on the overlap threshold, a few float32 steps: a pair exactly at it is kept as in the original."""


def fast_nms_attributes(config: PostprocessConfig) -> dict[str, Any]:
    """Attributes of a `YolactFastNms` call, for the plugin."""
    return {
        "score_threshold": config.score_threshold,
        "nms_threshold": config.nms_threshold,
        "top_k": config.top_k,
        "max_detections": config.max_detections,
        "cross_class": int(config.nms == "cross-class"),
        "centre_variance": CENTRE_VARIANCE,
        "size_variance": SIZE_VARIANCE,
    }


def fast_nms(
    model: ModelConfig, config: PostprocessConfig, opset: int, dtype: DTypeLike = np.float32
) -> onnx.FunctionProto:
    """Decode, softmax, per-class top-k, Fast NMS, global top-k, gather of the coefficients.

    Inputs: locations (B, N, 4), confidences (B, N, C+1) logits, coefficients (B, N, K), priors (N, 4) cxcywh.
    Outputs: num_detections (B, 1) int32, boxes (B, D, 4) relative xyxy, scores (B, D), classes (B, D) int32,
    detection_coefficients (B, D, K). Entries beyond the number of detections are zero. Among equal scores, the lower
    class comes first, then the lower prior. The network's tensors and both kinds of coefficients have type `dtype`;
    everything is computed in float32.
    Source: official layers/functions/detection.py; the NumPy form is `yolact.runtime.postprocess.nms`.
    """
    b = GraphBuilder(opset, scope=f"{FAST_NMS}/")
    cross_class = config.nms == "cross-class"
    lists = 1 if cross_class else model.num_classes
    depth = min(config.top_k, model.num_priors)

    is_half = np.dtype(dtype) != np.float32
    locations, confidences = (b.cast(x, np.float32) if is_half else x for x in ("locations", "confidences"))
    probabilities = b.slice(b.Softmax(confidences, axis=2), 1, model.num_classes + 1, axis=2)
    best = b.reduce("ReduceMax", probabilities, 2, keepdims=True)
    rejected = b.cast(b.LessOrEqual(best, np.float32(config.score_threshold)), np.float32)
    # A prior that is no candidate sorts behind every candidate: probability minus 2 is negative.
    eligible = b.Sub(best if cross_class else probabilities, b.Mul(rejected, np.float32(2)))
    grouped, maxima = _group_maxima(b, eligible, model.num_priors, lists)
    kept = min(lists, config.max_detections)
    chosen_lists = _best_lists(b, maxima, kept) if kept < lists else None
    sizes = _Sizes(lists, kept, -(-model.num_priors // _GROUP), depth)
    scores, priors = _top_k_per_list(b, grouped, maxima, chosen_lists, sizes)

    boxes = _decode(b, locations)
    chosen = b.Reshape(priors, [0, kept * depth, 1])
    chosen_boxes = b.GatherND(boxes, chosen, batch_dims=1)
    suppressed = _suppressed(b, chosen_boxes, kept, depth, config.nms_threshold)

    ranked = b.Reshape(b.Where(suppressed, np.float32(-1), scores), [0, kept * depth])
    final_scores, position = b.TopK(ranked, [config.max_detections], outputs=2, axis=1)
    position = b.Unsqueeze(position, [2])
    prior = b.GatherND(chosen, position, batch_dims=1)
    if cross_class:
        of_prior = b.GatherND(probabilities, prior, batch_dims=1)
        classes = b.ArgMax(of_prior, axis=2, keepdims=0)
    else:
        classes = b.Div(position, [depth])
        classes = b.Squeeze(classes, [2]) if chosen_lists is None else b.GatherND(chosen_lists, classes, batch_dims=1)
    final_boxes = b.GatherND(chosen_boxes, position, batch_dims=1)
    coefficients = b.GatherND("coefficients", prior, batch_dims=1)
    outputs = _fast_nms_outputs(b, final_boxes, final_scores, classes, coefficients, dtype)
    inputs = ["locations", "confidences", "coefficients", "priors"]
    return b.function(FAST_NMS, inputs, outputs, [*PLUGIN_ATTRIBUTES, *fast_nms_attributes(config)])


def _fast_nms_outputs(
    b: GraphBuilder, boxes: str, scores: str, classes: str, coefficients: str, dtype: DTypeLike
) -> dict[str, str]:
    """The outputs of `YolactFastNms` by name. Entries with a negative score are no detections and are set to zero."""
    valid = b.GreaterOrEqual(scores, np.float32(0))
    present = b.Unsqueeze(valid, [2])
    nothing = np.float32(0)  # chosen, not multiplied: entries beyond the number of detections need not be finite
    return {
        "num_detections": b.cast(b.ReduceSum(b.cast(valid, np.float32), [1], keepdims=1), np.int32),
        "boxes": b.Where(present, boxes, nothing),
        "scores": b.Where(valid, scores, nothing),
        "classes": b.Mul(b.cast(classes, np.int32), b.cast(valid, np.int32)),
        DETECTION_COEFFICIENTS: b.Where(present, coefficients, np.zeros((), dtype)),
    }


class _Sizes(NamedTuple):
    """How many lists there are, one for each class or one in all; how many of them are kept; how many groups of priors
    there are; and how many priors are kept of each list."""

    lists: int
    kept: int
    groups: int
    depth: int


def _group_maxima(b: GraphBuilder, scores: str, priors: int, lists: int) -> tuple[str, str]:
    """Scores (B, N, L), padded to whole groups of priors, and the largest of each group: (B, L, groups)."""
    groups = -(-priors // _GROUP)
    padding = groups * _GROUP - priors
    if padding:
        # Below every real prior, and every group holds a real one: padding is never among the best.
        scores = b.Pad(scores, [0, 0, 0, 0, padding, 0], np.float32(-3))
    grouped = b.Reshape(scores, [0, groups, _GROUP, lists])
    return scores, b.Transpose(b.reduce("ReduceMax", grouped, 2), perm=[0, 2, 1])


def _best_lists(b: GraphBuilder, maxima: str, count: int) -> str:
    """The lists that all of the best `count` detections are from: (B, count) indices, ascending.

    The first entry of a list is never suppressed. So the `count` lists with the best first entries hold at least as
    many detections, and no entry of another list is better than the worst of these first entries. Equal first entries
    are taken in the order of the lists, which also decides between equal detections.
    """
    _, best = b.TopK(b.reduce("ReduceMax", maxima, 2), [count], outputs=2, axis=1)
    best, _ = b.TopK(b.cast(best, np.float32), [count], outputs=2, axis=1, largest=0)
    return str(b.cast(best, np.int64))


def _top_k_per_list(b: GraphBuilder, scores: str, maxima: str, chosen: str | None, sizes: _Sizes) -> tuple[str, str]:
    """The best entries of each kept list: values and prior indices, both (B, kept, depth), best first.

    They are found in two exact steps, several times cheaper than one: an element among the best `depth` lies in a group
    of consecutive priors whose maximum is among the best `depth` maxima, ties included.

    Args:
        scores, maxima: from `_group_maxima`.
        chosen: the kept lists (B, kept), ascending; None for all of them.
        sizes: see `_Sizes`.
    """
    lists, kept, groups, depth = sizes
    if chosen is None:
        of_list = np.arange(lists).reshape(1, lists, 1)
    else:
        of_list = b.Unsqueeze(chosen, [2])
        maxima = b.GatherND(maxima, of_list, batch_dims=1)
    best_groups = min(depth, groups)
    _, group = b.TopK(maxima, [best_groups], outputs=2, axis=2)
    # Groups back in ascending order, so that equal scores come out by prior. Small integers are exact as floats.
    group, _ = b.TopK(b.cast(group, np.float32), [best_groups], outputs=2, axis=2, largest=0)
    first = b.Unsqueeze(b.Mul(b.cast(group, np.int64), [_GROUP]), [3])
    members = b.Reshape(b.Add(first, np.arange(_GROUP)), [0, kept, best_groups * _GROUP])
    index = b.Add(b.Mul(members, [lists]), of_list)
    values = b.GatherElements(b.Reshape(scores, [0, -1]), b.Reshape(index, [0, -1]), axis=1)
    values = b.Reshape(values, [0, kept, best_groups * _GROUP])
    values, within = b.TopK(values, [depth], outputs=2, axis=2)
    return values, b.GatherElements(members, within, axis=2)


def _decode(b: GraphBuilder, locations: str) -> str:
    """Boxes (B, N, 4) relative xyxy of all priors (official layers/box_utils.py `decode`)."""
    offsets, growth = b.Split(locations, [2, 2], outputs=2, axis=2)
    prior_centres, prior_sizes = b.Split("priors", [2, 2], outputs=2, axis=1)
    centres = b.Add(b.Mul(b.Mul(offsets, np.float32(CENTRE_VARIANCE)), prior_sizes), prior_centres)
    sizes = b.Mul(b.Exp(b.Mul(growth, np.float32(SIZE_VARIANCE))), prior_sizes)
    top_left = b.Sub(centres, b.Mul(sizes, np.float32(0.5)))
    return str(b.Concat(top_left, b.Add(top_left, sizes), axis=2))


def _suppressed(b: GraphBuilder, boxes: str, lists: int, depth: int, threshold: float) -> str:
    """Whether a better box overlaps each of a list's boxes (B, L * depth, 4), best first, too much: (B, L, depth) bool.

    IoU > t is tested as intersection - a_i > a_j with a = area * t / (1 + t). This needs no division, and only the
    largest left side over all better boxes i has to be kept. Lists are cut into quarters. Each quarter is compared with
    itself, then first with second quarters, then the first half with the second, which leaves out three of eight pairs.
    """
    parts = next(parts for parts in (4, 2, 1) if depth % parts == 0)
    x1, y1, x2, y2 = b.Split(boxes, [1, 1, 1, 1], outputs=4, axis=2)
    area = b.Mul(b.Sub(x2, x1), b.Sub(y2, y1))
    share = b.Mul(area, np.float32(threshold / (1 + threshold) * (1 + _EXACT_TIE)))
    sides = (x1, y1, x2, y2, share)

    size = depth // parts
    better = [b.Reshape(side, [0, -1, size, 1]) for side in sides]
    worse = [b.Reshape(side, [0, -1, 1, size]) for side in sides]
    not_better = np.where(np.triu(np.ones((size, size)), k=1) > 0, 0, -np.inf).astype(np.float32)
    suppressed = _is_overlapped(b, better, worse, not_better)
    while size < depth:
        pairs = [b.Split(b.Reshape(side, [0, -1, 2, size]), [1, 1], outputs=2, axis=2) for side in sides]
        better = [b.Transpose(first, perm=[0, 1, 3, 2]) for first, _ in pairs]
        across = _is_overlapped(b, better, [second for _, second in pairs], None)
        first, second = b.Split(b.Reshape(suppressed, [0, -1, 2 * size]), [size, size], outputs=2, axis=2)
        suppressed = b.Concat(first, b.Or(second, across), axis=2)
        size *= 2
    return str(b.Or(b.Reshape(suppressed, [0, lists, depth]), _later_without_area(b, area, lists, depth)))


def _is_overlapped(b: GraphBuilder, better: list[str], worse: list[str], mask: np.ndarray | None) -> str:
    """Whether any better box (B, X, R, 1) overlaps each worse one (B, X, 1, Q) too much: (B, X, Q) bool.

    Boxes are x1, y1, x2, y2, share; `mask` (R, Q) is added to each pair's margin.
    """
    width = b.Relu(b.Sub(b.Min(better[2], worse[2]), b.Max(better[0], worse[0])))
    height = b.Relu(b.Sub(b.Min(better[3], worse[3]), b.Max(better[1], worse[1])))
    excess = b.Sub(b.Mul(width, height), better[4])
    if mask is not None:
        excess = b.Add(excess, mask)
    return str(b.Greater(b.reduce("ReduceMax", excess, 2), b.Squeeze(worse[4], [2])))


def _later_without_area(b: GraphBuilder, area: str, lists: int, depth: int) -> str:
    """Boxes without area, but for the first in each list: two of them have IoU 0/0, which suppresses (official)."""
    empty = b.Equal(b.Reshape(area, [0, lists, depth]), np.float32(0))
    rank = np.arange(depth, dtype=np.float32)
    first = b.reduce("ReduceMin", b.Where(empty, rank, np.float32(depth)), 2, keepdims=True)
    return str(b.And(empty, b.Greater(rank, first)))


def mask_assembly(
    model: ModelConfig, config: PostprocessConfig, opset: int, dtype: DTypeLike = np.float32
) -> onnx.FunctionProto:
    """Sigmoid of the prototypes' linear combinations, cropped to the boxes.

    Inputs: prototypes (B, K, Hp, Wp), detection_coefficients (B, D, K), boxes (B, D, 4) relative xyxy,
    num_detections (B, 1) int32. Output: masks (B, D, Hp, Wp) probabilities, zero outside the boxes and beyond the
    number of detections. Prototypes, coefficients and their product have type `dtype`, the rest is float32. Source:
    paper equation 1; the NumPy form is `yolact.runtime.postprocess.mask_assembly`.
    """
    b = GraphBuilder(opset, scope=f"{MASK_ASSEMBLY}/")
    size, detections = model.prototype_size, config.max_detections
    flat = b.Reshape("prototypes", [0, model.num_coefficients, size * size])
    product = b.MatMul(DETECTION_COEFFICIENTS, flat)
    if np.dtype(dtype) != np.float32:
        product = b.cast(product, np.float32)
    logits = b.Reshape(product, [0, detections, size, size])
    cells = np.arange(size, dtype=np.float32)
    x1, y1, x2, y2 = b.Split("boxes", [1, 1, 1, 1], outputs=4, axis=2)
    present = b.Unsqueeze(b.Less(np.arange(detections, dtype=np.int32), "num_detections"), [2])
    columns = b.And(_inside(b, x1, x2, cells), present)
    rows = _inside(b, y1, y2, cells)
    box = b.Mul(b.Unsqueeze(b.cast(rows, np.float32), [3]), b.Unsqueeze(b.cast(columns, np.float32), [2]))
    outputs = {"masks": b.Mul(b.Sigmoid(logits), box)}
    inputs = ["prototypes", DETECTION_COEFFICIENTS, "boxes", "num_detections"]
    return b.function(MASK_ASSEMBLY, inputs, outputs, [*PLUGIN_ATTRIBUTES, *MASK_ASSEMBLY_ATTRIBUTES])


def _inside(b: GraphBuilder, start: str, stop: str, cells: np.ndarray) -> str:
    """(B, D, cells) bool: cells in [start, stop), relative (B, D, 1), widened by the crop's padding."""
    size = np.float32(len(cells))
    low = b.Sub(b.Mul(start, size), np.float32(CROP_PADDING))
    high = b.Add(b.Mul(stop, size), np.float32(CROP_PADDING))
    return str(b.And(b.GreaterOrEqual(cells, low), b.Less(cells, high)))
