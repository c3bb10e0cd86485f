"""Everything after the heads of the network up to cropped masks, in PyTorch, for comparison with the CUDA kernels.

`official` goes image by image in steps of data-dependent size, as the official code does. `batched` is the fast form
without custom kernels: the whole batch at once, with all shapes fixed, so it can be compiled and recorded in a CUDA
graph. Both compute in float32 but for the sums over prototypes, which are in the tensors' type.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.postprocess.mask_assembly import CROP_PADDING
from yolact.runtime.postprocess.nms import CENTRE_VARIANCE, SIZE_VARIANCE

Image = tuple[Tensor, Tensor, Tensor, Tensor]
"""Boxes (N, 4), scores (N), classes (N) and masks (N, Hp, Wp) of one image, best first."""


class Heads(NamedTuple):
    """The outputs of the network; T is float32 or float16."""

    locations: Tensor  # (B, P, 4) T, encoded offsets
    confidences: Tensor  # (B, P, C + 1) T, logits, background first
    coefficients: Tensor  # (B, P, K) T
    priors: Tensor  # (P, 4) float32 cxcywh relative to the network's input
    prototypes: Tensor  # (B, K, Hp, Wp) T


class Outputs(NamedTuple):
    """The detections of a batch as engine files return them: best first, and 0 past the count."""

    num_detections: Tensor  # (B, 1) int32
    boxes: Tensor  # (B, D, 4) float32 xyxy relative to the network's input
    scores: Tensor  # (B, D) float32
    classes: Tensor  # (B, D) int32
    masks: Tensor  # (B, D, Hp, Wp) float32


def official(heads: Heads, config: PostprocessConfig) -> Outputs:
    """The outputs of `official_images`, padded to the most detections."""
    return pad(official_images(heads, config), heads, config)


def official_images(heads: Heads, config: PostprocessConfig) -> list[Image]:
    """Detections image by image.

    Source: the steps of the official layers/functions/detection.py `Detect` and layers/output_utils.py `postprocess`.
    """
    probabilities = heads.confidences.softmax(-1, dtype=torch.float32).transpose(1, 2)
    found = []
    for locations, scores, coefficients, prototypes in zip(
        heads.locations, probabilities, heads.coefficients, heads.prototypes, strict=True
    ):
        boxes = decode(locations, heads.priors)
        candidate = scores[1:].amax(0) > config.score_threshold
        boxes, scores, classes, coefficients = _official_nms(
            boxes[candidate], scores[1:, candidate], coefficients[candidate], config
        )
        masks = (prototypes.permute(1, 2, 0) @ coefficients.T).sigmoid().permute(2, 0, 1).contiguous()
        found.append((boxes, scores, classes, masks * inside(boxes, *masks.shape[1:]).float()))
    return found


def pad(images: list[Image], heads: Heads, config: PostprocessConfig) -> Outputs:
    """The detections of single images as one batch, filled up with 0 to the most detections."""
    counts = torch.tensor([[len(scores)] for _, scores, _, _ in images], dtype=torch.int32, device=heads.priors.device)
    parts = []
    for arrays in zip(*images, strict=True):
        rows = [F.pad(array, (0, 0) * (array.ndim - 1) + (0, config.max_detections - len(array))) for array in arrays]
        parts.append(torch.stack(rows))
    boxes, scores, classes, masks = parts
    return Outputs(counts, boxes, scores, classes.int(), masks)


def decode(locations: Tensor, priors: Tensor) -> Tensor:
    """The boxes (..., 4) float32 xyxy of locations (..., 4)."""
    locations = locations.float()
    centres = priors[:, :2] + locations[..., :2] * CENTRE_VARIANCE * priors[:, 2:]
    sizes = priors[:, 2:] * (locations[..., 2:] * SIZE_VARIANCE).exp()
    corners = centres - sizes / 2
    return torch.cat([corners, corners + sizes], -1)


def inside(boxes: Tensor, height: int, width: int) -> Tensor:
    """A mask (..., Hp, Wp) bool of the cells of each box (..., 4) and of the padding around it."""
    x1, y1, x2, y2 = boxes[..., None, None].unbind(-3)
    rows = torch.arange(height, device=boxes.device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=boxes.device, dtype=torch.float32)
    within_columns = (columns >= x1 * width - CROP_PADDING) & (columns < x2 * width + CROP_PADDING)
    return within_columns & (rows >= y1 * height - CROP_PADDING) & (rows < y2 * height + CROP_PADDING)


def _intersection_and_union(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The areas (..., N, N) of intersection and union of all pairs of boxes (..., N, 4)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    width = torch.minimum(x2[..., :, None], x2[..., None, :]) - torch.maximum(x1[..., :, None], x1[..., None, :])
    height = torch.minimum(y2[..., :, None], y2[..., None, :]) - torch.maximum(y1[..., :, None], y1[..., None, :])
    intersection = width.clamp(min=0) * height.clamp(min=0)
    area = (x2 - x1) * (y2 - y1)
    return intersection, area[..., :, None] + area[..., None, :] - intersection


def _official_nms(boxes: Tensor, scores: Tensor, coefficients: Tensor, config: PostprocessConfig) -> Image:
    """Fast NMS of boxes (N, 4) with scores (C, N): boxes, scores, classes, coefficients of the detections."""
    scores, order = scores.sort(1, descending=True)
    scores, order = scores[:, : config.top_k], order[:, : config.top_k]
    boxes, coefficients = boxes[order], coefficients[order]  # of every class, as the official code gathers them
    intersection, union = _intersection_and_union(boxes)
    keep = torch.ones_like(order, dtype=torch.bool)
    if order.shape[1]:
        keep = (intersection / union).triu(1).amax(1) <= config.nms_threshold
    classes = torch.arange(len(scores), device=scores.device)[:, None].expand_as(keep)[keep]
    scores, best = scores[keep].sort(descending=True)
    best = best[: config.max_detections]
    return boxes[keep][best], scores[: len(best)], classes[best], coefficients[keep][best]


def batched(heads: Heads, config: PostprocessConfig) -> Outputs:
    """The detections of all images at once, in fixed shapes. The order of equal scores is arbitrary."""
    num_priors, columns = heads.confidences.shape[1:]
    probabilities = heads.confidences.softmax(-1, dtype=torch.float32)[..., 1:]
    candidate = probabilities.amax(-1, keepdim=True) > config.score_threshold
    scores = torch.where(candidate, probabilities, -1).transpose(1, 2).contiguous()
    depth = min(config.top_k, num_priors)
    ranked, order = scores.topk(depth)  # (B, C, depth)
    boxes = decode(heads.locations, heads.priors)
    kept = _kept(_rows(boxes, order.flatten(1)).unflatten(1, (columns - 1, depth)), config.nms_threshold)
    survivors = torch.where(kept, ranked, -1).flatten(1)
    room = config.max_detections - survivors.shape[1]
    best, index = F.pad(survivors, (0, max(room, 0)), value=-1.0).topk(config.max_detections)
    valid = best >= 0
    index = torch.where(valid, index, 0)
    chosen = order.flatten(1).gather(1, index)
    boxes = torch.where(valid[..., None], _rows(boxes, chosen), 0)
    masks = _masks(heads.prototypes, _rows(heads.coefficients, chosen), boxes, valid)
    classes = torch.where(valid, index // depth, 0).int()
    return Outputs(valid.sum(1, keepdim=True).int(), boxes, torch.where(valid, best, 0), classes, masks)


def _rows(array: Tensor, index: Tensor) -> Tensor:
    """The rows (B, N, X) of an array (B, P, X) at indices (B, N)."""
    return array.gather(1, index[..., None].expand(-1, -1, array.shape[-1]))


def _kept(boxes: Tensor, threshold: float) -> Tensor:
    """Whether (..., N) boxes (..., N, 4), best first, overlap no better box too much, even a suppressed one."""
    intersection, union = _intersection_and_union(boxes)
    if math.frexp(threshold)[0] == 0.5:  # a product with a power of two is exact, so this decides as the quotient does
        allowed = (intersection <= threshold * union) & (union > 0)
    else:
        allowed = intersection / union <= threshold
    rank = torch.arange(boxes.shape[-2], device=boxes.device)
    return (allowed | (rank[:, None] >= rank)).all(-2)


def _masks(prototypes: Tensor, coefficients: Tensor, boxes: Tensor, valid: Tensor) -> Tensor:
    logits = torch.bmm(coefficients, prototypes.flatten(2)).unflatten(2, prototypes.shape[2:])
    wanted = inside(boxes, *prototypes.shape[2:]) & valid[..., None, None]
    return torch.where(wanted, logits.float().sigmoid(), 0)
