"""Darknet-53, the backbone of YOLOv3 (arXiv:1804.02767; official backbone.py)."""

from __future__ import annotations

from torch import Tensor, nn

BLOCKS = (1, 2, 8, 8, 4)
"""Residual blocks in each of the five stages."""

STEM_CHANNELS = 32


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1, inplace=True),
    )


class DarknetBlock(nn.Module):
    """1x1 then 3x3 convolution with a shortcut; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels // 2, 1)
        self.conv2 = _conv(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, I, H, W)."""
        out: Tensor = self.conv2(self.conv1(x))
        return out + x


class Darknet53(nn.Module):
    """Darknet-53 trunk without classifier.

    Attributes:
        channels: channels of the five stage outputs.
        selected_layers: which of them are C3, C4 and C5.
    """

    channels = (64, 128, 256, 512, 1024)
    selected_layers = (2, 3, 4)

    def __init__(self) -> None:
        super().__init__()
        self._preconv = _conv(3, STEM_CHANNELS, 3)  # the official checkpoints' name
        self.layers = nn.ModuleList()
        in_channels = STEM_CHANNELS
        for blocks, out_channels in zip(BLOCKS, self.channels, strict=True):
            downsample = _conv(in_channels, out_channels, 3, stride=2)
            self.layers.append(nn.Sequential(downsample, *(DarknetBlock(out_channels) for _ in range(blocks))))
            in_channels = out_channels

    @property
    def stages(self) -> tuple[tuple[nn.Module, ...], ...]:
        """The modules with parameters, from the images on: the first convolution, then each stage."""
        return ((self._preconv,), *((layer,) for layer in self.layers))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised RGB images (B, 3, S, S) -> outputs C1..C5 of the five stages, strides 2 to 32."""
        x = self._preconv(images)
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)
