"""MobileNetV2 trunk (arXiv:1801.04381), cut and split into stages as YolactEdge does (its backbone.py and config)."""

from __future__ import annotations

from torch import Tensor, nn

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
"""Expansion, output channels, blocks and stride of the first block, of each stage after the first layer."""

STEM_CHANNELS = 32


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection, and a shortcut where the shape stays the same."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(  # torchvision's names, after which published ImageNet weights are keyed
            *([_conv(in_channels, width, 1)] if expansion > 1 else []),
            _conv(width, width, 3, stride, groups=width),
            nn.Conv2d(width, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H / stride, W / stride), sides rounded up."""
        out: Tensor = self.conv(x)
        return x + out if self.has_shortcut else out


class MobileNetV2(nn.Module):
    """MobileNetV2 without its last, widest layers, which the pyramid does not use; official names of parameters.

    Attributes:
        channels: channels of the outputs of the first layer and of the six stages.
        selected_layers: which of them are C3, C4 and C5. C4 comes before the stage that widens it at the same stride.
    """

    channels = (STEM_CHANNELS, *(stage[1] for stage in STAGES))
    selected_layers = (3, 4, 6)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_conv(3, STEM_CHANNELS, 3, stride=2)])
        in_channels = STEM_CHANNELS
        for expansion, out_channels, blocks, stride in STAGES:
            stage = []
            for block in range(blocks):
                stage.append(InvertedResidual(in_channels, out_channels, stride if block == 0 else 1, expansion))
                in_channels = out_channels
            self.layers.append(nn.Sequential(*stage))

    @property
    def stages(self) -> tuple[tuple[nn.Module, ...], ...]:
        """The modules with parameters, from the images on: the first convolution, then each stage."""
        return tuple((layer,) for layer in self.layers)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised RGB images (B, 3, S, S) -> outputs of the first layer and the six stages, strides 2 to 32."""
        x = images
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)
