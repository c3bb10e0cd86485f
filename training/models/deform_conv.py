"""Modulated deformable convolution (Deformable ConvNets v2, arXiv:1811.11168), used by YOLACT++ backbones.

Offsets are in input pixels, interleaved per kernel tap: channel 2k moves tap k down, channel 2k + 1 moves it
right.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

try:
    from torchvision.ops import deform_conv2d as _torchvision_deform_conv2d
except (ImportError, RuntimeError):  # absent, or built for another PyTorch
    _torchvision_deform_conv2d = None


def deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int
) -> Tensor:
    """Modulated deformable convolution, one offset group, dilation 1; by torchvision where it is installed.

    Args:
        x: (B, I, H, W) floating point.
        offset: (B, 2 * kh * kw, H', W') pixels, (dy, dx) interleaved per tap, taps in row-major order.
        mask: (B, kh * kw, H', W') factor of each tap.
        weight: (O, I, kh, kw).
        bias: (O,).
        stride, padding: of the undeformed sampling grid, the same in both directions.

    Returns:
        (B, O, H', W'). A sample outside -1 < y < H, -1 < x < W is zero; so is each pixel beyond the border
        that a sample closer in interpolates with (official external/DCNv2, dmcn_im2col_bilinear).
    """
    if _torchvision_deform_conv2d is not None:
        out: Tensor = _torchvision_deform_conv2d(x, offset, weight, bias, stride, padding, mask=mask)
        return out
    return gather_deform_conv2d(x, offset, mask, weight, bias, stride, padding)


def gather_deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int
) -> Tensor:
    """`deform_conv2d` in plain PyTorch, on any device and differentiable. Same arguments and result."""
    batch, channels, height, width = x.shape
    out_channels, _, kernel_height, kernel_width = weight.shape
    taps, out_height, out_width = mask.shape[1:]
    ys, xs = _sampling_points(offset, kernel_width, stride, padding)
    corners, shares = _bilinear_corners(ys, xs, height, width)
    shares = shares * mask.permute(0, 2, 3, 1).unsqueeze(-1)
    first_pixel = torch.arange(batch, device=x.device).view(batch, 1, 1, 1, 1) * (height * width)
    # A sample is a weighted sum of four pixels: exactly what a bag of embeddings is, with pixels as the rows
    # of the table. One fused call, no copy per corner.
    pixels = x.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    columns = F.embedding_bag(
        (corners + first_pixel).view(-1, 4), pixels, mode="sum", per_sample_weights=shares.reshape(-1, 4)
    )
    rows = columns.view(batch * out_height * out_width, taps * channels)
    kernel = weight.permute(2, 3, 1, 0).reshape(kernel_height * kernel_width * channels, out_channels)
    out = torch.addmm(bias, rows, kernel)
    return out.view(batch, out_height, out_width, out_channels).permute(0, 3, 1, 2).contiguous()


def _sampling_points(offset: Tensor, kernel_width: int, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    """The sampling points of the taps: two (B, H', W', taps) tensors, y and x in input pixels."""
    batch, _, out_height, out_width = offset.shape
    moves = offset.view(batch, -1, 2, out_height, out_width).permute(2, 0, 3, 4, 1)
    taps = torch.arange(moves.shape[-1], device=offset.device)
    rows = torch.arange(out_height, device=offset.device) * stride - padding
    cols = torch.arange(out_width, device=offset.device) * stride - padding
    ys = rows.view(-1, 1, 1) + taps // kernel_width
    xs = cols.view(1, -1, 1) + taps % kernel_width
    return moves[0] + ys, moves[1] + xs


def _bilinear_corners(ys: Tensor, xs: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Indices and weights of each point's four pixels, both (..., 4); weight 0 beyond the border."""
    top, left = ys.floor(), xs.floor()
    down, right = ys - top, xs - left
    indices, shares = [], []
    for step_y, share_y in ((0, 1 - down), (1, down)):
        for step_x, share_x in ((0, 1 - right), (1, right)):
            y, x = top + step_y, left + step_x
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            # Clamped as floats: a wild offset would not fit an integer.
            indices.append(y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long())
            shares.append(share_y * share_x * inside)
    return torch.stack(indices, -1), torch.stack(shares, -1)


class DeformableConv2d(nn.Module):
    """Square modulated deformable convolution that predicts its own offsets and tap factors from its input.

    A fresh one moves no tap and halves every tap (sigmoid of 0), as the official DCN module (dcn_v2.py) does.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.stride = stride
        self.padding = padding
        self.taps = kernel_size * kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.conv_offset_mask = nn.Conv2d(in_channels, 3 * self.taps, kernel_size, stride, padding)
        bound = 1 / math.sqrt(in_channels * self.taps)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.conv_offset_mask.weight)
        assert self.conv_offset_mask.bias is not None
        nn.init.zeros_(self.conv_offset_mask.bias)

    def offsets_and_mask(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted offsets (B, 2 * taps, H', W') in pixels and tap factors (B, taps, H', W') in (0, 1)."""
        predicted = self.conv_offset_mask(x)
        return predicted[:, : 2 * self.taps], predicted[:, 2 * self.taps :].sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H', W')."""
        with torch.autocast(x.device.type, enabled=False):  # half precision would move taps by fractions of a pixel
            x = x.float()
            offset, mask = self.offsets_and_mask(x)
            return deform_conv2d(x, offset, mask, self.weight, self.bias, self.stride, self.padding)
