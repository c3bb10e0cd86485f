"""What is compared: an ONNX file, a checkpoint or a TensorRT plan, with what can be seen of its inside."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from yolact.diff.layer_diff import HEADS, Recompute
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.engine import DeviceChoice, Engine
from yolact.runtime.errors import EngineError
from yolact.runtime.images.arrays import Image

if TYPE_CHECKING:
    import onnx

    from yolact.diff.torch_layers import LayerRecorder
    from yolact.training.models.model import Yolact


class Subject(Protocol):
    """One of the two sides.

    Attributes:
        path: the file.
        engine: for detections, run as it is deployed.
        tensors: what can be seen of the inside by name, in network order, heads among it, and whether it is a layer.
    """

    path: Path
    engine: Engine
    tensors: Mapping[str, bool]

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """Polygraphy's runner for these tensors."""

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """Computes each of these tensors from the reference's values at its inputs."""


class OnnxSubject:
    """An ONNX file, looked into by making its inner tensors outputs.

    Attributes:
        is_emulated: what runs is not the file itself but a float32 model with its roundings.
    """

    def __init__(
        self,
        path: Path,
        engine: Engine,
        proto: onnx.ModelProto,
        device: DeviceChoice | None,
        is_emulated: bool = False,
    ) -> None:
        from yolact.diff.onnx_layers import tensor_names

        self.path, self.engine, self.is_emulated = path, engine, is_emulated
        self.tensors: Mapping[str, bool] = tensor_names(proto)
        self._proto, self._device = proto, device

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Subject`."""
        from yolact.diff.onnx_layers import onnx_runner

        return onnx_runner(self._proto, name, names, self._device)

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """See `Subject`."""
        from yolact.diff.onnx_layers import LayerByLayer

        return LayerByLayer(self._proto, self._device)

    def optimisation_error(self, images: Image) -> float:
        """Largest relative error in a head that ONNX Runtime's optimisations make on a batch."""
        from yolact.diff.onnx_layers import optimisation_error

        return optimisation_error(self._proto, [name for name in HEADS if name in self.tensors], self._device, images)


class TorchSubject:
    """A checkpoint, run by PyTorch."""

    def __init__(self, path: Path, model: Yolact, postprocess: PostprocessConfig) -> None:
        from yolact.diff.torch_layers import LayerRecorder
        from yolact.training.models.torch_engine import TorchEngine

        engine = TorchEngine(model, postprocess)
        self.path, self.engine = path, cast("Engine", engine)
        self._record: LayerRecorder = LayerRecorder(model, engine)
        size = model.config.image_size
        self.tensors: Mapping[str, bool] = dict.fromkeys(self._record(np.zeros((1, size, size, 3), np.uint8)), True)

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Subject`."""
        from yolact.diff.torch_layers import TorchRunner

        return TorchRunner(self._record, name, names, self.engine.metadata.config.image_size)

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """See `Subject`."""
        from yolact.diff.torch_layers import recompute_layers

        return recompute_layers(self._record, names)


class PlanSubject:
    """A TensorRT plan: heads where they are its outputs, nothing else of its inside."""

    def __init__(self, path: Path, engine: Any) -> None:
        self.path, self.engine = path, engine
        self.tensors: Mapping[str, bool] = dict.fromkeys(HEADS if engine.metadata.graph == "raw" else (), True)

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Subject`."""
        from polygraphy.backend.base import BaseRunner
        from polygraphy.common import TensorMetadata

        engine, size = self.engine, self.engine.metadata.config.image_size

        class PlanRunner(BaseRunner):  # type: ignore[misc]  # Polygraphy has no types
            def activate_impl(self) -> None:
                self.context = engine.create_context()

            def deactivate_impl(self) -> None:
                self.context.close()

            def get_input_metadata_impl(self) -> Any:
                return TensorMetadata().add(INPUT_NAME, np.dtype(np.uint8), (None, size, size, 3))

            def infer_impl(self, feed_dict: Mapping[str, Image]) -> OrderedDict[str, Any]:
                start = time.perf_counter()
                images = self.context.run(feed_dict[INPUT_NAME])
                self.inference_time = time.perf_counter() - start
                return OrderedDict((name, np.stack([image[name] for image in images])) for name in names)

        return PlanRunner(name=name)

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """A plan gives nothing but its outputs, so `shared_names` finds no layers to ask for."""
        raise EngineError("a plan cannot compute single layers; compare the ONNX file it was built from")
