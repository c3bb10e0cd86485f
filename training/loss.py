"""The training loss, one method per term (paper sections 3 and 6; official layers/modules/multibox_loss.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from yolact.runtime.config import ModelConfig
from yolact.runtime.postprocess.mask_assembly import CROP_PADDING
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.data.loading import Targets
from yolact.training.matching import NEUTRAL, Matches, match_priors
from yolact.training.models.model import RawHeads

BOX_WEIGHT = 1.5
MASK_WEIGHT = 6.125
MASK_IOU_WEIGHT = 25.0
NEGATIVES_PER_POSITIVE = 3
MIN_RESCORED_AREA = 25
"""Prototype cells an object must exceed for the mask re-scoring network to learn from it."""

Sampler = Callable[[int, int], Tensor]


def sample_randomly(population: int, count: int) -> Tensor:
    """`count` different indices below `population`, int64."""
    return torch.randperm(population)[:count]


class YolactLoss:
    """Loss of a batch. Under autocast feed it float32 heads: sums over priors do not fit half precision."""

    def __init__(
        self,
        config: ModelConfig,
        predict_mask_iou: Callable[[Tensor, Tensor], Tensor] | None = None,
        sample: Sampler = sample_randomly,
    ) -> None:
        """
        Args:
            config: architecture; gives priors and classes.
            predict_mask_iou: `Yolact.predict_mask_iou` of a YOLACT++ network, else None.
            sample: chooses the positives whose masks are trained where there are too many.
        """
        self._priors = torch.from_numpy(np.array(make_priors(config)))
        self._predict_mask_iou = predict_mask_iou
        self._sample = sample
        # More priors see an object in a larger image (official data/config.py, yolact_im700_config).
        self._masks_to_train = 300 if config.name == "yolact_im700" else 100

    def match(self, targets: Sequence[Targets]) -> Matches:
        """The targets of the priors of every image, stacked: labels and objects (B, P), locations (B, P, 4)."""
        priors = self._priors = self._priors.to(targets[0].boxes.device)
        return Matches(*(torch.stack(parts) for parts in zip(*(match_priors(t, priors) for t in targets), strict=True)))

    def __call__(
        self, heads: RawHeads, targets: Sequence[Targets], matches: Matches, positives: Tensor, images: float
    ) -> dict[str, Tensor]:
        """Weighted terms, scalars to be added up.

        Args:
            heads: of B images, with segmentation.
            targets: ground truth of each.
            matches: the results of `match` for them.
            positives: number of positive priors to divide by: those of all images a gradient step sees, which may
                come in several batches and on several devices.
            images: number of images to divide by, likewise.

        Returns:
            ``box``, ``mask``, ``confidence`` and, for YOLACT++ with a large enough object, ``mask_iou``, per positive
            prior; ``segmentation`` per image.
        """
        assert heads.segmentation is not None, "the loss needs the heads of a network in training mode"
        mask, mask_iou = self._mask_terms(heads, matches, targets)
        losses = {"box": self._box(heads, matches), "mask": mask, "confidence": self._confidence(heads, matches)}
        if mask_iou is not None:
            losses["mask_iou"] = mask_iou
        losses = {name: loss / positives for name, loss in losses.items()}
        losses["segmentation"] = self._segmentation(heads.segmentation, targets) / images
        return losses

    def _box(self, heads: RawHeads, matches: Matches) -> Tensor:
        """Smooth L1 over the positives."""
        positive = matches.labels > 0
        return BOX_WEIGHT * F.smooth_l1_loss(heads.locations[positive], matches.locations[positive], reduction="sum")

    def _confidence(self, heads: RawHeads, matches: Matches) -> Tensor:
        """Cross entropy over positives and, three times as many in each image, the hardest negatives."""
        logits, labels = heads.confidences, matches.labels
        selected = (labels > 0) | hard_negatives(logits.detach(), labels)
        return F.cross_entropy(logits[selected], labels[selected], reduction="sum")

    def _mask_terms(
        self, heads: RawHeads, matches: Matches, targets: Sequence[Targets]
    ) -> tuple[Tensor, Tensor | None]:
        """Mask loss and, for YOLACT++, mask IoU loss."""
        total = heads.prototypes.new_zeros(())
        inputs, classes, ious = [], [], []
        for image, target in enumerate(targets):
            positive = torch.nonzero(matches.labels[image] > 0).squeeze(1)
            scale = 1.0
            if len(positive) > self._masks_to_train:
                scale = len(positive) / self._masks_to_train
                positive = positive[self._sample(len(positive), self._masks_to_train).to(positive.device)]
            objects = matches.objects[image, positive]
            truth = _shrunk(target.masks, heads.prototypes.shape[-2:])[objects]
            boxes = target.boxes[objects]
            masks = _assembled(heads.prototypes[image], heads.coefficients[image, positive], boxes)
            total = total + scale * self._mask(masks, truth, boxes)
            large = truth.sum(dim=(1, 2)) > MIN_RESCORED_AREA
            inputs.append(masks[large])
            classes.append(target.class_ids[objects[large]])
            ious.append(_mask_iou(masks[large].detach() > 0.5, truth[large]))
        if self._predict_mask_iou is None or not any(map(len, inputs)):
            return total, None
        predicted = self._predict_mask_iou(torch.cat(inputs), torch.cat(classes))
        return total, MASK_IOU_WEIGHT * F.smooth_l1_loss(predicted, torch.cat(ious), reduction="sum")

    def _mask(self, masks: Tensor, truth: Tensor, boxes: Tensor) -> Tensor:
        """Pixel-wise binary cross entropy of cropped masks (n, Hp, Wp), divided by the area of the object's box."""
        # The clamp keeps rounding out of the logarithm, which torch bounds at -100 where a crop made masks exactly 0.
        losses = F.binary_cross_entropy(masks.clamp(0, 1).nan_to_num(), truth, reduction="none").sum(dim=(1, 2))
        losses = losses + 0 * masks.sum(dim=(1, 2))  # NaN stays NaN: torch itself would abort, on a GPU beyond recovery
        width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(dim=1)
        cells = masks.shape[1] * masks.shape[2]
        return MASK_WEIGHT / cells * (losses / (width * height)).sum()

    def _segmentation(self, logits: Tensor, targets: Sequence[Targets]) -> Tensor:
        """Binary cross entropy of every class on P3's grid (B, C, H3, W3): mean over cells, sum over the rest."""
        truth = torch.zeros_like(logits)
        for image, target in enumerate(targets):
            for class_id, mask in zip(target.class_ids, _shrunk(target.masks, logits.shape[-2:]), strict=True):
                truth[image, class_id] = torch.maximum(truth[image, class_id], mask)
        cells = logits.shape[2] * logits.shape[3]
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / cells


@torch.no_grad()
def hard_negatives(logits: Tensor, labels: Tensor) -> Tensor:
    """The background priors that look least like background: (B, P) bool.

    In each image as many as three times its positives; logits (B, P, C+1), labels (B, P) as in `Matches`.
    """
    hardness = logits.logsumexp(dim=2) - logits[..., 0]
    hardness[labels != 0] = 0  # these come last, but stay in the ranking, as in the official code
    rank = hardness.argsort(dim=1, descending=True).argsort(dim=1)
    wanted = NEGATIVES_PER_POSITIVE * (labels > 0).sum(dim=1, keepdim=True)
    return (rank < wanted.clamp(max=labels.shape[1] - 1)) & (labels <= 0) & (labels != NEUTRAL)


@torch.no_grad()
def _shrunk(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Binary masks (n, H, W) at a smaller size, still binary."""
    return (F.interpolate(masks[None].float(), tuple(size), mode="bilinear", align_corners=False)[0] > 0.5).float()


def _assembled(prototypes: Tensor, coefficients: Tensor, boxes: Tensor) -> Tensor:
    """Mask probabilities (n, Hp, Wp), 0 outside the boxes: `runtime.postprocess.mask_assembly` for training."""
    masks = torch.einsum("nk,khw->nhw", coefficients, prototypes).sigmoid()
    height, width = masks.shape[1:]
    x1, y1, x2, y2 = (boxes * boxes.new_tensor([width, height, width, height])).unbind(dim=1)
    rows, columns = (torch.arange(size, device=masks.device) for size in (height, width))
    inside_rows = (rows >= y1[:, None] - CROP_PADDING) & (rows < y2[:, None] + CROP_PADDING)
    inside_columns = (columns >= x1[:, None] - CROP_PADDING) & (columns < x2[:, None] + CROP_PADDING)
    return masks * (inside_rows[:, :, None] & inside_columns[:, None, :])


def _mask_iou(masks: Tensor, truth: Tensor) -> Tensor:
    """IoU (n,) of binary masks (n, H, W)."""
    intersection = (masks * truth).sum(dim=(1, 2))
    return intersection / (masks.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) - intersection)
