"""Matches priors with the objects they are to learn (paper section 4; official layers/box_utils.py, `match`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from yolact.runtime.postprocess.nms import CENTRE_VARIANCE, SIZE_VARIANCE
from yolact.training.data.loading import Targets

POSITIVE_IOU = 0.5
"""Priors overlapping an object at least this much learn it."""

NEGATIVE_IOU = 0.4
"""Priors overlapping every object less than this are background; between the two they are neutral."""

CROWD_OVERLAP = 0.7
"""A prior with more than this share of its area in a crowd is no background."""

NEUTRAL, BACKGROUND = -1, 0


class Matches(NamedTuple):
    """The target of each of P priors.

    Attributes:
        labels: (P,) int64: class id + 1, `BACKGROUND` or `NEUTRAL`.
        objects: (P,) int64 index of the object, meaningful where the label is positive.
        locations: (P, 4) float32, the object's box encoded relative to the prior.
    """

    labels: Tensor
    objects: Tensor
    locations: Tensor

    @property
    def positive_count(self) -> Tensor:
        """The number of priors that learn an object, a scalar."""
        return (self.labels > 0).sum()


@torch.no_grad()
def match_priors(targets: Targets, priors: Tensor) -> Matches:
    """Assign objects to priors (P, 4) cxcywh.

    Every object gets the prior it overlaps best, whatever the overlap: greedily by overlap, no prior twice.
    """
    corners = torch.cat([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], dim=1)
    overlap = _iou(targets.boxes, corners)
    best_overlap, objects = overlap.max(dim=0)
    per_object, prior_of_object = overlap.max(dim=1)
    for _ in range(len(targets.boxes)):
        chosen = per_object.argmax()
        prior = prior_of_object[chosen].clone()
        overlap[:, prior] = -1
        overlap[chosen] = -1
        changed = prior_of_object == prior  # the others' maxima are what they were
        per_object[changed], prior_of_object[changed] = overlap[changed].max(dim=1)
        best_overlap[prior] = 2  # above any threshold
        objects[prior] = chosen
    labels = targets.class_ids[objects] + 1
    labels[best_overlap < POSITIVE_IOU] = NEUTRAL
    labels[best_overlap < NEGATIVE_IOU] = BACKGROUND
    if len(targets.crowd_boxes):
        area = (corners[:, 2:] - corners[:, :2]).prod(dim=1)
        in_crowd = (_intersection(targets.crowd_boxes, corners) / area).amax(dim=0)
        labels[(labels <= 0) & (in_crowd > CROWD_OVERLAP)] = NEUTRAL
    return Matches(labels, objects, encode_boxes(targets.boxes[objects], priors))


def encode_boxes(boxes: Tensor, priors: Tensor) -> Tensor:
    """Inverse of `runtime.postprocess.nms.decode_boxes`: boxes (P, 4) xyxy relative to priors (P, 4) cxcywh."""
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2 - priors[:, :2]) / (CENTRE_VARIANCE * priors[:, 2:])
    sizes = ((boxes[:, 2:] - boxes[:, :2]) / priors[:, 2:]).log() / SIZE_VARIANCE
    return torch.cat([centres, sizes], dim=1)


def _intersection(boxes: Tensor, others: Tensor) -> Tensor:
    """(n, m) areas shared by boxes (n, 4) and (m, 4), both xyxy."""
    top_left = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (bottom_right - top_left).clamp(min=0).prod(dim=2)


def _iou(boxes: Tensor, others: Tensor) -> Tensor:
    intersection = _intersection(boxes, others)
    area, other_area = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes, others))
    return intersection / (area[:, None] + other_area[None] - intersection)
