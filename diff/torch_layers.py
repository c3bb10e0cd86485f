"""The layers of a network in PyTorch, under the names that they have in exported files.

PyTorch itself runs a checkpoint, which is not exported first, so that faults of the export show. Hooks on the modules
give the layers, as tensors of an exported file have the names of the modules whose output they equal.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from polygraphy.backend.base import BaseRunner
from polygraphy.common import TensorMetadata
from torch import Tensor, nn

from yolact.diff.tensor_diff import Recompute, Tensors
from yolact.runtime.contract import HEADS, INPUT_NAME
from yolact.runtime.images.arrays import Image
from yolact.training.models.model import Yolact
from yolact.training.models.torch_engine import TorchEngine

_NOT_LAYERS = (nn.Sequential, nn.ModuleList, nn.ReLU, nn.ReLU6, nn.LeakyReLU)
"""Containers, whose output is that of their last module, and activations, which are used in several places."""

_LEVEL_MODULES = "prediction_layers.0."
"""Modules that run once for each level of the pyramid, P3 first."""

_OFFSETS = ".conv_offset_mask"


class LayerRecorder:
    """Runs a network and records the outputs of its modules, or replaces them by other tensors."""

    def __init__(self, model: Yolact, engine: TorchEngine) -> None:
        self._model, self._engine = model, engine

    def __call__(self, images: Image, given: Mapping[str, NDArray[Any]] | None = None) -> dict[str, NDArray[Any]]:
        """All layers and the heads of a batch (N, S, S, 3), in the order in which they are computed.

        With `given` layers, the network continues with these, so that each result shows the error of its layer alone.
        """
        layers: dict[str, NDArray[Any]] = {}
        with self._hooks(layers, given or {}):
            heads = self._engine.heads(images)
        for name in HEADS:
            layers[name] = np.stack([getattr(image, name) for image in heads])
        return layers

    @contextmanager
    def _hooks(self, layers: dict[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]) -> Iterator[None]:
        handles = []
        for name, module in self._model.named_modules():
            if name and not isinstance(module, _NOT_LAYERS):
                handles.append(module.register_forward_hook(_record(name, layers, given)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _record(
    name: str, layers: dict[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]
) -> Callable[[nn.Module, object, object], Tensor | None]:
    calls = 0

    def hook(module: nn.Module, inputs: object, output: object) -> Tensor | None:
        nonlocal calls
        if not isinstance(output, Tensor):
            return None
        calls += 1
        layer = f"P{calls + 2}/{name}" if name.startswith(_LEVEL_MODULES) else name
        if name.endswith(_OFFSETS):  # written in the scope of the convolution that it is a part of
            layer = f"{name.removesuffix(_OFFSETS)}/{name}"
        # Copies, as the activation after it may work in place.
        layers[layer] = output.detach().cpu().numpy().copy()
        if layer not in given:
            return None
        return torch.from_numpy(np.array(given[layer], np.float32)).to(output.device)

    return hook


class TorchRunner(BaseRunner):  # type: ignore[misc]  # Polygraphy has no types
    """A network in PyTorch for Polygraphy's Comparator."""

    def __init__(self, record: LayerRecorder, name: str, names: Sequence[str], image_size: int) -> None:
        super().__init__(name=name)
        self._record, self._names, self._image_size = record, names, image_size

    def get_input_metadata_impl(self) -> Any:
        """Name, type and shape of the input."""
        return TensorMetadata().add(INPUT_NAME, np.dtype(np.uint8), (None, self._image_size, self._image_size, 3))

    def infer_impl(self, feed_dict: Mapping[str, Image]) -> OrderedDict[str, NDArray[Any]]:
        """The tensors asked for, of a batch."""
        start = time.perf_counter()
        layers = self._record(feed_dict[INPUT_NAME])
        self.inference_time = time.perf_counter() - start
        return OrderedDict((name, layers[name]) for name in self._names)


def recompute_layers(record: LayerRecorder, names: Sequence[str]) -> Recompute:
    """Recomputes every layer from the reference's values at its inputs."""
    layers = [name for name in names if name not in HEADS]

    def recompute(images: Image, tested: Tensors, reference: Tensors) -> Tensors:
        found = record(images, {name: reference[name] for name in layers})
        return {name: found[name] for name in names}

    return recompute
