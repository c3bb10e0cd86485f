"""The baseline: the network in eager PyTorch with straightforward post-processing at full image size."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.preprocess import Image
from yolact.runtime.priors import make_priors
from yolact.training.model import Yolact


class EagerDetector:
    """Image in, boxes, scores, classes and D x H x W masks out, the way the paper's steps read."""

    def __init__(self, model: Yolact, config: PostprocessConfig) -> None:
        self.model = model
        self.config = config
        self.priors = torch.from_numpy(np.array(make_priors(model.config)))

    @torch.inference_mode()
    def __call__(self, image: Image) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        side = self.model.config.image_size
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        pixels = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
        heads = self.model(self.model.normalize(pixels))
        boxes, scores, classes, coefficients = self._nms(
            self._decode(heads.locations[0]), heads.confidences[0].softmax(-1)[:, 1:].T, heads.coefficients[0]
        )
        masks = (heads.prototypes[0].permute(1, 2, 0) @ coefficients.T).sigmoid().permute(2, 0, 1).contiguous()
        masks = self._crop(masks, boxes)
        masks = F.interpolate(masks[None], image.shape[:2], mode="bilinear", align_corners=False)[0] > 0.5
        height, width = image.shape[:2]
        return boxes * torch.tensor([width, height, width, height]), scores, classes, masks

    def _decode(self, locations: Tensor) -> Tensor:
        centres = self.priors[:, :2] + locations[:, :2] * 0.1 * self.priors[:, 2:]
        sizes = self.priors[:, 2:] * (locations[:, 2:] * 0.2).exp()
        return torch.cat([centres - sizes / 2, centres + sizes / 2], 1)

    def _nms(self, boxes: Tensor, scores: Tensor, coefficients: Tensor) -> tuple[Tensor, ...]:
        candidate = scores.amax(0) > self.config.score_threshold
        boxes, scores, coefficients = boxes[candidate], scores[:, candidate], coefficients[candidate]
        scores, order = scores.sort(1, descending=True)
        scores, order = scores[:, : self.config.top_k], order[:, : self.config.top_k]
        ranked = boxes[order]
        low = torch.maximum(ranked[:, :, None, :2], ranked[:, None, :, :2])
        high = torch.minimum(ranked[:, :, None, 2:], ranked[:, None, :, 2:])
        extent = (high - low).clamp(min=0)
        intersection = extent[..., 0] * extent[..., 1]
        area = (ranked[..., 2] - ranked[..., 0]) * (ranked[..., 3] - ranked[..., 1])
        iou = (intersection / (area[:, :, None] + area[:, None, :] - intersection)).triu(1)
        keep = iou.amax(1) <= self.config.nms_threshold
        classes = torch.arange(len(scores))[:, None].expand_as(keep)[keep]
        scores, best = scores[keep].sort(descending=True)
        best = best[: self.config.max_detections]
        priors = order[keep][best]
        return boxes[priors], scores[: len(best)], classes[best], coefficients[priors]

    def _crop(self, masks: Tensor, boxes: Tensor) -> Tensor:
        size = masks.shape[-1]
        x1, y1, x2, y2 = (boxes * size)[:, :, None, None].unbind(1)
        cells = torch.arange(size)
        columns = (cells >= x1 - 1) & (cells < x2 + 1)
        rows = (cells[:, None] >= y1 - 1) & (cells[:, None] < y2 + 1)
        return masks * (columns & rows)
