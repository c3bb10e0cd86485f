"""An ONNX file on OpenVINO as a side of a comparison."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from polygraphy.backend.base import BaseRunner
from polygraphy.common import TensorMetadata

from yolact.diff.onnx_layers import LayerByLayer, tensor_names
from yolact.diff.tensor_diff import Recompute, Tensors
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.engine import EngineOptions
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.graph_outputs import with_only_outputs
from yolact.runtime.openvino.compiling import compile_model
from yolact.runtime.openvino.engine import OpenVinoEngine
from yolact.runtime.openvino.inlining import inlined
from yolact.runtime.openvino.library import reason_of


class OpenVinoSide:
    """See `sides.Side`. Inner tensors are read by making them outputs, so OpenVINO does not fuse these layers."""

    def __init__(self, path: Path, engine: OpenVinoEngine, proto: onnx.ModelProto, options: EngineOptions) -> None:
        self.path, self.engine = path, engine
        self.tensors: Mapping[str, bool] = tensor_names(proto)
        self._proto = proto
        self._open = partial(_Graph, options=options)

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Side`."""
        part = with_only_outputs(self._proto, names)
        return _Runner(name, partial(self._open, part), names, self.engine.metadata.config.image_size)

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """See `Side`."""
        return LayerByLayer(self._proto, self._open)


class _Graph:
    """See `onnx_layers.Graph`. `proto` cannot be used any more afterwards."""

    def __init__(self, proto: onnx.ModelProto, options: EngineOptions) -> None:
        assert options.device is not None
        self._compiled = compile_model(inlined(proto), 1, options.device, None, options.precision)
        self.inputs = tuple(name for entry in self._compiled.inputs for name in entry.names)

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            found = self._compiled(dict(feeds))
        except Exception as error:  # OpenVINO's exceptions share no base class of its own
            raise EngineError(f"OpenVINO could not compute layers ({reason_of(error)})") from error
        return {name: np.array(found[output]) for output in self._compiled.outputs for name in output.names}


class _Runner(BaseRunner):  # type: ignore[misc]  # Polygraphy has no types
    """A graph on OpenVINO for Polygraphy's Comparator, which opens it in its turn."""

    def __init__(self, name: str, open_graph: partial[_Graph], names: Sequence[str], image_size: int) -> None:
        super().__init__(name=name)
        self._open, self._names, self._image_size = open_graph, names, image_size

    def activate_impl(self) -> None:
        """Compile it."""
        self._graph = self._open()

    def deactivate_impl(self) -> None:
        """Free it."""
        del self._graph

    def get_input_metadata_impl(self) -> Any:
        """Name, type and shape of the input."""
        return TensorMetadata().add(INPUT_NAME, np.dtype(np.uint8), (None, self._image_size, self._image_size, 3))

    def infer_impl(self, feed_dict: Mapping[str, Image]) -> Tensors:
        """The requested tensors for a batch."""
        start = time.perf_counter()
        found = self._graph(feed_dict)
        self.inference_time = time.perf_counter() - start
        return OrderedDict((name, found[name]) for name in self._names)
