"""Everything behind the backbone (official yolact.py): FPN, prediction head, Protonet and mask re-scoring network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class FPN(nn.Module):
    """Top-down pyramid over C3, C4 and C5 with two more levels, P6 and P7, by strided convolution."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        """``in_channels`` of C3, C4 and C5; ``channels`` of every level."""
        super().__init__()
        # Official checkpoints store both lists deepest level first.
        self.lat_layers = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in reversed(in_channels))
        self.pred_layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.downsample_layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(2))

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """C3, C4, C5 -> P3..P7, each (B, channels, H, W) with strides 8 to 128 and sides rounded up."""
        levels: list[Tensor] = []
        merged: Tensor | None = None
        for stage, lateral, smooth in zip(reversed(stages), self.lat_layers, self.pred_layers, strict=True):
            narrow = lateral(stage)
            if merged is not None:
                # To the exact size, not by 2: an odd side was rounded up on the way down.
                narrow = narrow + F.interpolate(merged, size=stage.shape[-2:], mode="bilinear", align_corners=False)
            merged = narrow
            levels.insert(0, F.relu(smooth(narrow)))
        for downsample in self.downsample_layers:
            levels.append(downsample(levels[-1]))
        return levels


class PredictionHead(nn.Module):
    """Boxes, class scores and mask coefficients of every anchor, shared by all levels (paper section 4)."""

    def __init__(self, channels: int, anchors: int, num_classes: int, num_coefficients: int) -> None:
        """``channels`` of a level; ``anchors``: A per cell; ``num_classes``: C; ``num_coefficients``: K."""
        super().__init__()
        self.widths = (4, num_classes + 1, num_coefficients)
        self.upfeature = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True))
        self.bbox_layer, self.conf_layer, self.mask_layer = (
            nn.Conv2d(channels, anchors * width, 3, padding=1) for width in self.widths
        )

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Locations, confidences and coefficients (see `RawHeads`) of one level (B, channels, H, W).

        The H * W * A priors run over rows, then columns, then anchors.
        """
        x = self.upfeature(level)
        locations, confidences, coefficients = (
            layer(x).permute(0, 2, 3, 1).reshape(level.shape[0], -1, width)
            for layer, width in zip((self.bbox_layer, self.conf_layer, self.mask_layer), self.widths, strict=True)
        )
        return locations, confidences, coefficients.tanh()


class Protonet(nn.Sequential):
    """P3 (B, channels, H, W) -> prototypes (B, K, 2H, 2W), not negative (paper section 3.1, figure 3)."""

    def __init__(self, channels: int, num_coefficients: int) -> None:
        def conv() -> tuple[nn.Module, nn.Module]:
            return nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)

        super().__init__(
            *(*conv(), *conv(), *conv()),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Identity(),  # a ReLU in the official network, where it changes nothing; keeps the numbering
            *conv(),
            nn.Conv2d(channels, num_coefficients, 1),
            nn.ReLU(inplace=True),
        )


class MaskIoUNet(nn.Module):
    """Predicts how well a mask fits its object, for every class (YOLACT++ paper section 6.1)."""

    CHANNELS = (1, 8, 16, 32, 64, 128)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_channels, out_channels in pairwise(self.CHANNELS):
            layers += [nn.Conv2d(in_channels, out_channels, 3, stride=2), nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(self.CHANNELS[-1], num_classes, 1), nn.ReLU(inplace=True)]
        self.maskiou_net = nn.Sequential(*layers)

    def forward(self, masks: Tensor) -> Tensor:
        """Cropped mask probabilities (n, 1, Hp, Wp) -> predicted mask IoU (n, C), not negative."""
        fit: Tensor = self.maskiou_net(masks)
        return fit.amax(dim=(2, 3))
