"""Feature pyramid P3..P7 (arXiv:1612.03144; YOLACT paper section 4; official yolact.py, FPN)."""

from __future__ import annotations

from collections.abc import Sequence

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
