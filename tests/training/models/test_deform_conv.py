"""Modulated deformable convolution against recorded numbers and a loop written from its definition."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from yolact.training.models import deform_conv
from yolact.training.models.deform_conv import DeformableConv2d, deform_conv2d, gather_deform_conv2d

IMPLEMENTATIONS = [deform_conv2d, gather_deform_conv2d]


def sample(plane: Tensor, y: float, x: float) -> float:
    """Bilinear interpolation in one channel, zero beyond the border."""
    height, width = plane.shape
    top, left = math.floor(y), math.floor(x)
    return sum(
        (1 - abs(y - row)) * (1 - abs(x - col)) * plane[row, col].item()
        for row in (top, top + 1)
        for col in (left, left + 1)
        if 0 <= row < height and 0 <= col < width
    )


def loop_deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int
) -> Tensor:
    """The definition, one multiplication at a time."""
    batch, channels, _, _ = x.shape
    out_channels, _, kernel_height, kernel_width = weight.shape
    out_height, out_width = mask.shape[2:]
    out = bias.view(1, -1, 1, 1).repeat(batch, 1, out_height, out_width)
    for b, row, col, channel in np.ndindex(batch, out_height, out_width, channels):
        for i, j in np.ndindex(kernel_height, kernel_width):
            tap = i * kernel_width + j
            y = row * stride - padding + i + offset[b, 2 * tap, row, col].item()
            x_at = col * stride - padding + j + offset[b, 2 * tap + 1, row, col].item()
            value = sample(x[b, channel], y, x_at) * mask[b, tap, row, col].item()
            for o in range(out_channels):
                out[b, o, row, col] += weight[o, channel, i, j] * value
    return out


def random_inputs(stride: int, spread: float, kernel: tuple[int, int] = (3, 3)) -> tuple[Tensor, ...]:
    """float64 x, offset, mask, weight, bias for padding 1; two images that are not square."""
    generator = torch.Generator().manual_seed(7)
    taps = kernel[0] * kernel[1]
    out = [(side + 2 - size) // stride + 1 for side, size in zip((5, 7), kernel, strict=True)]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return (
        normal(2, 3, 5, 7),
        spread * normal(2, 2 * taps, *out),
        normal(2, taps, *out).sigmoid(),
        normal(4, 3, *kernel),
        normal(4),
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("case", ["s1", "s2"])
def test_matches_recorded_numbers(shared: Path, case: str, implementation) -> None:
    stored = np.load(shared / "goldens" / "unit_dcnv2.npz")
    names = ("x", "offset", "mask", "weight", "bias")
    inputs = [torch.from_numpy(stored[f"{case}.{name}"]) for name in names]
    out = implementation(*inputs, stride=int(stored[f"{case}.stride"]), padding=1)
    np.testing.assert_allclose(out.numpy(), stored[f"{case}.out"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("stride", "spread", "kernel"),
    [
        (1, 0.0, (3, 3)),
        (1, 1.0, (3, 3)),
        (2, 1.0, (3, 3)),
        (1, 1.0, (2, 3)),
        (1, 30.0, (3, 3)),  # most samples lie far outside the image
        (2, 1e12, (3, 3)),  # no integer type holds these pixel indices safely
    ],
)
def test_matches_the_definition(stride: int, spread: float, kernel: tuple[int, int], implementation) -> None:
    inputs = random_inputs(stride, spread, kernel)
    expected = loop_deform_conv2d(*inputs, stride=stride, padding=1)
    torch.testing.assert_close(implementation(*inputs, stride, 1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_samples_between_border_and_next_pixel_fade_out(implementation) -> None:
    x = torch.ones(1, 1, 2, 2)
    one = torch.ones(1, 1, 1, 1)
    for dy, expected in [(-1.0, 0.0), (-0.75, 0.25), (0.5, 1.0), (1.25, 0.75), (2.0, 0.0)]:
        offset = torch.zeros(1, 2, 2, 2)
        offset[0, 0] = dy  # row 0 only moves vertically
        out = implementation(x, offset, torch.ones(1, 1, 2, 2), one, torch.zeros(1), 1, 0)
        assert out[0, 0, 0].tolist() == [expected] * 2, dy


def test_gradients_are_those_of_finite_differences() -> None:
    inputs = [tensor.requires_grad_() for tensor in random_inputs(stride=2, spread=0.7)]
    assert torch.autograd.gradcheck(lambda *tensors: gather_deform_conv2d(*tensors, 2, 1), inputs)


def test_torchvision_gets_its_arguments_in_its_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def torchvision_like(
        input: Tensor, offset: Tensor, weight: Tensor, bias=None, stride=1, padding=0, dilation=1, mask=None
    ) -> Tensor:
        calls.append(dilation)
        return gather_deform_conv2d(input, offset, mask, weight, bias, stride, padding)

    monkeypatch.setattr(deform_conv, "_torchvision_deform_conv2d", torchvision_like)
    inputs = random_inputs(stride=2, spread=1.0)
    torch.testing.assert_close(deform_conv2d(*inputs, 2, 1), gather_deform_conv2d(*inputs, 2, 1))
    assert calls == [1]


def test_fresh_module_is_half_a_plain_convolution() -> None:
    torch.manual_seed(0)
    module = DeformableConv2d(3, 4, 3, stride=2, padding=1)
    x = torch.randn(2, 3, 9, 6)
    plain = torch.nn.functional.conv2d(x, module.weight, stride=2, padding=1)
    torch.testing.assert_close(module(x), plain / 2)


def test_module_reads_offsets_as_row_column_pairs_before_the_mask() -> None:
    module = DeformableConv2d(1, 1, 1, stride=1, padding=0)
    x = torch.arange(12.0).view(1, 1, 3, 4)
    with torch.no_grad():
        module.weight.fill_(1)
        # One row down, two columns right, factor sigmoid(30) = 1.
        module.conv_offset_mask.bias.copy_(torch.tensor([1.0, 2.0, 30.0]))
    assert module(x)[0, 0].tolist() == [[6, 7, 0, 0], [10, 11, 0, 0], [0, 0, 0, 0]]
