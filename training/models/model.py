"""The whole YOLACT / YOLACT++ network, from normalised images to raw heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from yolact.runtime.config import ModelConfig
from yolact.runtime.errors import UsageError
from yolact.training.models.configs import normalization
from yolact.training.models.darknet import Darknet53
from yolact.training.models.heads import FPN, MaskIoUNet, PredictionHead, Protonet
from yolact.training.models.mobilenet import MobileNetV2
from yolact.training.models.resnet import ResNet


class RawHeads(NamedTuple):
    """The network's predictions before softmax, box decoding and NMS. All float32; B images, N priors.

    Attributes:
        locations: (B, N, 4) box regression relative to the priors.
        confidences: (B, N, C + 1) logits, background first.
        coefficients: (B, N, K) in (-1, 1).
        prototypes: (B, K, Hp, Wp), not negative.
        segmentation: (B, C, H3, W3) logits on P3's grid for the semantic loss; None outside training mode.
    """

    locations: Tensor
    confidences: Tensor
    coefficients: Tensor
    prototypes: Tensor
    segmentation: Tensor | None


class Yolact(nn.Module):
    """YOLACT (arXiv:1904.02689) or YOLACT++ (arXiv:1912.06218), with the official parameter names.

    A fresh network is initialised as the official one before its backbone is loaded: Xavier-uniform
    convolutions with zero biases outside the backbone, no deformation inside it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: ResNet | Darknet53 | MobileNetV2
        if config.backbone == "darknet53":
            self.backbone = Darknet53()
        elif config.backbone == "mobilenet_v2":
            self.backbone = MobileNetV2()
        else:
            self.backbone = ResNet(config.backbone, config.deformable_interval)
        self.proto_net = Protonet(config.fpn_channels, config.num_coefficients)
        self.maskiou_net = MaskIoUNet(config.num_classes) if config.mask_rescoring else None
        self.fpn = FPN([self.backbone.channels[index] for index in self.backbone.selected_layers], config.fpn_channels)
        # A list of one, for the official parameter names: all levels share the head.
        self.prediction_layers = nn.ModuleList(
            [PredictionHead(config.fpn_channels, config.anchors_per_cell, config.num_classes, config.num_coefficients)]
        )
        self.semantic_seg_conv = nn.Conv2d(config.fpn_channels, config.num_classes, 1)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith("backbone."):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def normalize(self, images_bgr: Tensor) -> Tensor:
        """Network input from pixels.

        Args:
            images_bgr: (B, S, S, 3), uint8 or floating point in 0..255, BGR as OpenCV reads it.

        Returns:
            (B, 3, S, S) float32, RGB, normalised for the backbone.
        """
        x = images_bgr.permute(0, 3, 1, 2).float()
        mean, std = (x.new_tensor(values).view(1, 3, 1, 1) for values in normalization(self.config))
        return ((x - mean) / std).flip(1)

    def forward(self, images: Tensor) -> RawHeads:
        """Raw heads of float32 RGB images (B, 3, S, S) from `normalize`; priors run over P3..P7."""
        stages = self.backbone(images)
        levels = self.fpn([stages[index] for index in self.backbone.selected_layers])
        head = self.prediction_layers[0]
        per_level = [head(level) for level in levels]
        locations, confidences, coefficients = (torch.cat(parts, 1) for parts in zip(*per_level, strict=True))
        return RawHeads(
            locations,
            confidences,
            coefficients,
            prototypes=self.proto_net(levels[0]),
            segmentation=self.semantic_seg_conv(levels[0]) if self.training else None,
        )

    def predict_mask_iou(self, masks: Tensor, class_ids: Tensor) -> Tensor:
        """How well each mask is expected to fit its object; multiplies the detection's score (YOLACT++).

        Args:
            masks: (n, Hp, Wp) probabilities at prototype resolution, already cropped to their boxes.
            class_ids: (n,) int64, 0..C-1.

        Returns:
            (n,) float32, not negative, nominally an IoU in 0..1.

        Raises:
            UsageError: the configuration has no mask re-scoring.
        """
        if self.maskiou_net is None:
            raise UsageError(f"{self.config.name} has no mask re-scoring; use a YOLACT++ configuration")
        per_class: Tensor = self.maskiou_net(masks.unsqueeze(1))
        return per_class.gather(1, class_ids.unsqueeze(1)).squeeze(1)
