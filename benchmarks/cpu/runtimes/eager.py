"""The baseline: the network in PyTorch with straightforward post-processing at full image size, eager or compiled."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.torch_postprocess import Heads, Image, official_images
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.images import arrays
from yolact.runtime.postprocess.priors import make_priors
from yolact.training.models.model import Yolact


class EagerDetector:
    """A detector that takes the steps of the paper one by one."""

    def __init__(self, model: Yolact, config: PostprocessConfig, *, compiled: bool = False) -> None:
        """With `compiled`, `torch.compile` compiles all steps together at the first image."""
        self.model = model
        self.config = config
        self.priors = torch.from_numpy(np.array(make_priors(model.config)))
        self._detect = torch.compile(self._steps) if compiled else self._steps

    @torch.inference_mode()
    def __call__(self, image: arrays.Image) -> Image:
        """The detections of an image (H, W, 3) BGR: boxes in its pixels, scores, classes, bool masks (D, H, W)."""
        return self._detect(torch.from_numpy(image))

    def _steps(self, image: Tensor) -> Image:
        side, (height, width) = self.model.config.image_size, image.shape[:2]
        pixels = image.permute(2, 0, 1)[None].float()
        pixels = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
        raw = self.model(self.model.normalize(pixels))
        heads = Heads(raw.locations, raw.confidences, raw.coefficients, self.priors, raw.prototypes)
        boxes, scores, classes, masks = official_images(heads, self.config)[0]
        masks = F.interpolate(masks[None], (height, width), mode="bilinear", align_corners=False)[0] > 0.5
        return boxes * torch.tensor([width, height, width, height]), scores, classes, masks
