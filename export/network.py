"""Writes a PyTorch network as ONNX: normalisation, backbone, FPN, Protonet, head, mask re-scoring.

A tensor has the name of the module whose output it equals (`backbone.layers.0.0.bn1`), so layers can be compared by
name in any two forms of the model. Batch norms are folded into their convolutions in double precision.

In half precision, the convolutions and the operators between them have the half type. The normalisation of pixels,
tanh and the sampling positions of deformable convolutions stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from yolact.export.graph_builder import GraphBuilder
from yolact.runtime.metadata import Precision
from yolact.training.models.configs import normalization
from yolact.training.models.darknet import DarknetBlock
from yolact.training.models.deform_conv import DeformableConv2d
from yolact.training.models.heads import PredictionHead
from yolact.training.models.mobilenet import InvertedResidual, MobileNetV2
from yolact.training.models.model import Yolact
from yolact.training.models.resnet import Bottleneck, ResNet

DTYPES: dict[Precision, np.dtype[Any]] = {
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
}


class HeadTensors(NamedTuple):
    """The raw head tensors, named as in the contract: locations (B, N, 4), confidences (B, N, C+1), coefficients
    (B, N, K), prototypes (B, K, Hp, Wp), all of one type."""

    locations: str
    confidences: str
    coefficients: str
    prototypes: str


class NetworkWriter:
    """Writes the parts of one model into a graph builder.

    Attributes:
        dtype: of weights and activations.
    """

    def __init__(self, builder: GraphBuilder, model: Yolact, precision: Precision = "fp32") -> None:
        self._b = builder
        self.dtype = DTYPES[precision]
        self._model = model
        self._names = {module: name for name, module in model.named_modules()}
        self._sizes: dict[str, int] = {}  # side of every square feature map, by tensor
        self._initializers: dict[nn.Module, list[str]] = {}  # weight and bias tensors; the levels share a head

    def heads(self, images: str, *, in_float32: bool) -> HeadTensors:
        """Write the network, from uint8 BGR images (B, S, S, 3) to the raw heads in float32 or the network's type."""
        config = self._model.config
        levels = self._pyramid(self._backbone(self._normalized(images, config.image_size)))
        head = self._model.prediction_layers[0]
        assert isinstance(head, PredictionHead)
        widths = (4, config.num_classes + 1, config.num_coefficients)
        outputs: list[list[str]] = [[], [], []]
        for number, level in enumerate(levels):
            with self._b.scope(f"P{number + 3}"):
                features = self._emit(head.upfeature, level)
                for parts, layer, width in zip(
                    outputs, (head.bbox_layer, head.conf_layer, head.mask_layer), widths, strict=True
                ):
                    rows = self._b.Transpose(self._emit(layer, features), perm=[0, 2, 3, 1])
                    parts.append(self._b.Reshape(rows, [0, -1, width]))
        locations, confidences, coefficients = (self._b.Concat(*parts, axis=1) for parts in outputs)
        dtype = np.dtype(np.float32) if in_float32 else self.dtype
        return HeadTensors(
            locations=self._head(locations, self.dtype, dtype, "locations"),
            confidences=self._head(confidences, self.dtype, dtype, "confidences"),
            coefficients=self._head(self._b.Tanh(self._up(coefficients)), np.dtype(np.float32), dtype, "coefficients"),
            prototypes=self._head(self._emit(self._model.proto_net, levels[0]), self.dtype, dtype, "prototypes"),
        )

    def _head(self, x: str, dtype: np.dtype[Any], wanted: np.dtype[Any], name: str) -> str:
        """A tensor of type `dtype` in type `wanted`, under the contract's name."""
        return str(self._b.Identity(x, name=name)) if dtype == wanted else self._b.cast(x, wanted, name)

    def mask_scores(self, masks: str, classes: str, scores: str, detections: int) -> str:
        """Scores (B, D) times predicted mask IoU; masks (B, D, Hp, Wp), classes (B, D). YOLACT++ only."""
        assert self._model.maskiou_net is not None
        b, config = self._b, self._model.config
        single = b.Reshape(masks, [-1, 1, config.prototype_size, config.prototype_size])
        self._sizes[single] = config.prototype_size
        per_class = b.GlobalMaxPool(self._emit(self._model.maskiou_net.maskiou_net, self._down(single)))
        per_class = b.Reshape(self._up(per_class), [-1, config.num_classes])
        chosen = b.GatherElements(per_class, b.Reshape(classes, [-1, 1]), axis=1)
        return str(b.Mul(scores, b.Reshape(chosen, [-1, detections])))

    def _normalized(self, images: str, size: int) -> str:
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in normalization(self._model.config))
        with self._b.scope("normalize"):
            pixels = self._b.Transpose(self._b.cast(images, np.float32), perm=[0, 3, 1, 2])
            normalized = str(self._b.Div(self._b.Sub(pixels, mean), std))
        self._sizes[normalized] = size
        return self._down(normalized)

    def _down(self, x: str) -> str:
        """Cast a float32 tensor to the network's type."""
        if self.dtype == np.float32:
            return x
        out = self._b.cast(x, self.dtype)
        if x in self._sizes:
            self._same_size(out, x)
        return out

    def _up(self, x: str) -> str:
        """Cast a tensor of the network's type to float32."""
        return x if self.dtype == np.float32 else self._b.cast(x, np.float32)

    def _backbone(self, x: str) -> list[str]:
        """C3, C4, C5."""
        backbone = self._model.backbone
        layers = list(backbone.layers)
        if isinstance(backbone, ResNet):
            first: Iterable[nn.Module] = (backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool)
        elif isinstance(backbone, MobileNetV2):
            first = layers.pop(0).children()
        else:
            first = backbone._preconv
        x = self._chain(first, x, channels_reversed=True)
        stages = [x] if isinstance(backbone, MobileNetV2) else []
        for layer in layers:
            x = self._emit(layer, x)
            stages.append(x)
        return [stages[index] for index in backbone.selected_layers]

    def _pyramid(self, stages: list[str]) -> list[str]:
        """P3..P7, as `FPN.forward` computes them."""
        fpn, levels, merged = self._model.fpn, list[str](), ""
        for stage, lateral, smooth in zip(reversed(stages), fpn.lat_layers, fpn.pred_layers, strict=True):
            narrow = self._emit(lateral, stage)
            if merged:
                sum_ = self._b.Add(narrow, self._resize(merged, self._sizes[stage]), name=f"{narrow}.merged")
                narrow = self._same_size(sum_, narrow)
            merged = narrow
            levels.insert(0, self._relu(self._emit(smooth, narrow)))
        for downsample in fpn.downsample_layers:
            levels.append(self._emit(downsample, levels[-1]))
        return levels

    def _emit(self, module: nn.Module, x: str) -> str:
        """Write one module applied to tensor `x`; returns its output."""
        if isinstance(module, nn.Sequential):
            return self._chain(module, x)
        if isinstance(module, nn.Conv2d):
            return self._convolution(module, x, None)
        if isinstance(module, Bottleneck):
            return self._bottleneck(module, x)
        if isinstance(module, DarknetBlock):
            out = self._emit(module.conv2, self._emit(module.conv1, x))
            return self._same_size(self._b.Add(out, x, name=self._names[module]), x)
        if isinstance(module, InvertedResidual):
            out = self._emit(module.conv, x)
            if module.has_shortcut:
                out = self._same_size(self._b.Add(out, x, name=self._names[module]), x)
            return out
        if isinstance(module, nn.ReLU):
            return self._relu(x)
        if isinstance(module, nn.ReLU6):
            return self._same_size(self._b.Clip(x, self.dtype.type(0), self.dtype.type(6), name=f"{x}.relu6"), x)
        if isinstance(module, nn.LeakyReLU):
            out = self._b.LeakyRelu(x, name=f"{x}.leaky_relu", alpha=module.negative_slope)
            return self._same_size(out, x)
        if isinstance(module, nn.MaxPool2d):
            out = str(self._b.MaxPool(x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
            self._sizes[out] = -(-self._sizes[x] // 2)
            return out
        if isinstance(module, nn.Upsample):
            return self._resize(x, 2 * self._sizes[x])
        if isinstance(module, nn.Identity):
            return x
        raise TypeError(f"no ONNX form for {type(module).__name__} at {self._names[module]}")

    def _chain(self, modules: Iterable[nn.Module], x: str, *, channels_reversed: bool = False) -> str:
        """Modules in sequence; a batch norm joins the convolution before it.

        With `channels_reversed` the first convolution is fed BGR instead of RGB: reordering its weights costs
        nothing at run time, reordering the image would.
        """
        rest = list(modules)
        while rest:
            module = rest.pop(0)
            if isinstance(module, nn.Conv2d | DeformableConv2d):
                norm = rest.pop(0) if rest and isinstance(rest[0], nn.BatchNorm2d) else None
                x = self._convolution(module, x, norm, channels_reversed=channels_reversed)
                channels_reversed = False
            else:
                x = self._emit(module, x)
        return x

    def _bottleneck(self, block: Bottleneck, x: str) -> str:
        shortcut = x if block.downsample is None else self._emit(block.downsample, x)
        out = self._chain(
            [block.conv1, block.bn1, block.relu, block.conv2, block.bn2, block.relu, block.conv3, block.bn3],
            x,
        )
        out = self._same_size(self._b.Add(out, shortcut, name=f"{self._names[block]}.sum"), out)
        return self._same_size(self._b.Relu(out, name=self._names[block]), out)

    def _convolution(self, conv: nn.Module, x: str, norm: nn.Module | None, *, channels_reversed: bool = False) -> str:
        assert isinstance(conv, nn.Conv2d | DeformableConv2d)
        if conv not in self._initializers:
            arrays = _folded(conv, norm, channels_reversed=channels_reversed)
            self._initializers[conv] = [
                self._b.constant(self._rounded(array), f"{self._names[conv]}.{kind}") for kind, array in arrays.items()
            ]
        initializers = self._initializers[conv]
        kernel, stride, padding = conv.weight.shape[-1], _pair(conv.stride), _pair(conv.padding)
        output = self._names[norm or conv]
        size = (self._sizes[x] + 2 * padding - kernel) // stride + 1
        if isinstance(conv, DeformableConv2d):
            out = self._deformable(conv, x, size, initializers, output)
        else:
            out = self._b.Conv(
                x,
                *initializers,
                name=output,
                group=conv.groups,
                kernel_shape=[kernel] * 2,
                strides=[stride] * 2,
                pads=[padding] * 4,
            )
        self._sizes[out] = size
        return out

    def _rounded(self, array: NDArray[np.float32]) -> NDArray[Any]:
        """Weights in the network's type. Values that are too large become infinite; `check_weights` finds them."""
        with np.errstate(over="ignore"):
            return array.astype(self.dtype)

    def _deformable(self, conv: DeformableConv2d, x: str, size: int, initializers: list[str], output: str) -> str:
        """Modulated deformable convolution as GridSample: every tap becomes a column of a wider image, which a 1 x taps
        convolution with stride taps then reads. GridSample treats samples beyond the border exactly as DCNv2 does.
        """
        b, taps, side, stride, padding = (
            self._b,
            conv.taps,
            self._sizes[x],
            _pair(conv.stride),
            _pair(conv.padding),
        )
        with b.scope(self._names[conv]):
            predicted = self._up(b.Transpose(self._convolution(conv.conv_offset_mask, x, None), perm=[0, 2, 3, 1]))
            offsets, factors = b.Split(predicted, [2 * taps, taps], outputs=2, axis=3)
            # (B, H', W', taps, [dy, dx]) to GridSample's [x, y], in units where the image spans -1..1.
            offsets = b.Reshape(offsets, [0, size, size * taps, 2])
            moves = b.Gather(b.Mul(offsets, np.float32(2 / side)), [1, 0], axis=3)
            grid = b.Add(moves, _sampling_grid(size, side, taps, stride, padding))
            # Half positions would move samples by a tenth of a cell, and TensorRT wants image and grid of one type.
            samples = b.GridSample(
                self._up(x), grid, mode="bilinear" if b.opset < 20 else "linear", padding_mode="zeros", align_corners=0
            )
            factors = b.Reshape(b.Sigmoid(factors), [0, 1, size, size * taps])
            samples = self._down(b.Mul(samples, factors))
            channels_out, channels_in = conv.weight.shape[:2]
            kernel = b.Reshape(initializers[0], [channels_out, channels_in, 1, taps])
        return str(b.Conv(samples, kernel, initializers[1], name=output, kernel_shape=[1, taps], strides=[1, taps]))

    def _resize(self, x: str, size: int) -> str:
        """Bilinear to an exact size, half-pixel centres."""
        scale = np.float32(size / self._sizes[x])
        if self._sizes[x] * float(scale) < size:  # runtimes round the product down, some in double precision
            scale = np.nextafter(scale, np.float32(np.inf))
        scales = np.array([1, 1, scale, scale], np.float32)
        out = self._b.Resize(
            x, "", scales, name=f"{x}.resized", mode="linear", coordinate_transformation_mode="half_pixel"
        )
        self._sizes[out] = size
        return str(out)

    def _relu(self, x: str) -> str:
        return self._same_size(self._b.Relu(x, name=f"{x}.relu"), x)

    def _same_size(self, out: str, x: str) -> str:
        self._sizes[out] = self._sizes[x]
        return out


def _pair(value: object) -> int:
    """The one number of a square stride or padding."""
    first = value[0] if isinstance(value, tuple) else value
    assert isinstance(first, int)
    return first


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def _folded(
    conv: nn.Conv2d | DeformableConv2d, norm: nn.Module | None, *, channels_reversed: bool
) -> dict[str, NDArray[np.float32]]:
    """Weight and, where there is one, bias of a convolution with the batch norm after it folded in."""
    weight = _array(conv.weight)
    arrays = {} if conv.bias is None else {"bias": _array(conv.bias)}
    if norm is not None:
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
        arrays["bias"] = _array(norm.bias) + gain * (arrays.get("bias", 0) - _array(norm.running_mean))
        weight = weight * gain[:, None, None, None]
    arrays = {"weight": weight[:, ::-1] if channels_reversed else weight, **arrays}
    return {kind: array.astype(np.float32) for kind, array in arrays.items()}


def _sampling_grid(size: int, side: int, taps: int, stride: int, padding: int) -> NDArray[np.float32]:
    """Positions (1, H', W' * taps, [x, y]) where undeformed taps sample; for GridSample the image spans -1..1."""
    kernel = round(taps**0.5)
    starts = np.arange(size) * stride - padding
    tap = np.arange(taps)
    grid = np.empty((size, size, taps, 2))
    grid[..., 0] = starts[None, :, None] + tap % kernel
    grid[..., 1] = starts[:, None, None] + tap // kernel
    return ((2 * grid + 1) / side - 1).reshape(1, size, size * taps, 2).astype(np.float32)
