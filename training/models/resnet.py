"""ResNet-50 and ResNet-101, plain or deformable (arXiv:1512.03385; official backbone.py)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from yolact.training.models.deform_conv import DeformableConv2d

BLOCKS: dict[str, tuple[int, int, int, int]] = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
"""Residual blocks in each of the four stages."""

EXPANSION = 4
STEM_CHANNELS = 64


def is_deformable(stage: int, block: int, interval: int) -> bool:
    """Whether a block (stage and block from 0) is deformable: every ``interval``-th, but none in stage 0."""
    return interval > 0 and stage > 0 and block % interval == 0


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 residual block with the stride on the 3x3 convolution."""

    def __init__(self, in_channels: int, width: int, stride: int, first: bool, deformable: bool) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2: nn.Module
        if deformable:
            self.conv2 = DeformableConv2d(width, width, 3, stride, padding=1)
        else:
            self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if first:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, 4 * width, H / stride, W / stride), sides rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out)) + shortcut
        result: Tensor = self.relu(out)
        return result


class ResNet(nn.Module):
    """ResNet trunk without classifier.

    Attributes:
        channels: channels of the four stage outputs.
        selected_layers: which of them are C3, C4 and C5.
    """

    channels = (256, 512, 1024, 2048)
    selected_layers = (1, 2, 3)

    def __init__(self, depth: Literal["resnet50", "resnet101"], deformable_interval: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layers = nn.ModuleList()
        in_channels = STEM_CHANNELS
        for stage, (blocks, out_channels) in enumerate(zip(BLOCKS[depth], self.channels, strict=True)):
            self.layers.append(_stage(stage, blocks, in_channels, out_channels, deformable_interval))
            in_channels = out_channels

    @property
    def stages(self) -> tuple[tuple[nn.Module, ...], ...]:
        """The modules with parameters, from the images on: the first convolution, then each stage."""
        return ((self.conv1, self.bn1), *((layer,) for layer in self.layers))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised RGB images (B, 3, S, S) -> outputs C2..C5 of the four stages, strides 4 to 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)


def _stage(stage: int, blocks: int, in_channels: int, out_channels: int, interval: int) -> nn.Sequential:
    # The stem's pooling has already halved the input of stage 0.
    first_stride = 1 if stage == 0 else 2
    return nn.Sequential(
        *(
            Bottleneck(
                in_channels if block == 0 else out_channels,
                out_channels // EXPANSION,
                stride=first_stride if block == 0 else 1,
                first=block == 0,
                deformable=is_deformable(stage, block, interval),
            )
            for block in range(blocks)
        )
    )
