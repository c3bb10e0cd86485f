"""The two sides of a comparison, each an ONNX file, a checkpoint or a TensorRT plan, and the tensors in them."""

from __future__ import annotations

import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from yolact.diff.tensor_diff import Recompute
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.contract import HEADS, INPUT_NAME
from yolact.runtime.engine import CPU, DeviceChoice, Engine, EngineOptions
from yolact.runtime.engine_files import open_engine, read_metadata
from yolact.runtime.errors import EngineError, UsageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.onnx.exported_model import read_exported_model
from yolact.runtime.packages import PackageMissing
from yolact.runtime.tensorrt.plan_file import read_plan_header

if TYPE_CHECKING:
    import onnx

    from yolact.diff.torch_layers import LayerRecorder
    from yolact.runtime.config import ModelConfig
    from yolact.training.models.model import Yolact


class SideEngine(Engine, Protocol):
    """An engine whose post-processing can be changed where its graph has none built in."""

    def set_postprocess(self, settings: PostprocessConfig) -> None:
        """Post-process by these settings from now on. Raises UsageError where they are built into the graph."""


class Side(Protocol):
    """One of the two sides.

    Attributes:
        path: the file.
        engine: for detections, run as it is deployed.
        tensors: names of the tensors that can be read, heads among them, in network order, and whether each is a layer.
    """

    path: Path
    tensors: Mapping[str, bool]

    @property
    def engine(self) -> SideEngine: ...

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """Polygraphy's runner for these tensors."""

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """Computes each of these tensors from the reference's values at its inputs."""


class OnnxSide:
    """An ONNX file, whose inner tensors are read by making them outputs.

    Attributes:
        is_emulated: whether a float32 model with the file's roundings runs in place of the file itself.
    """

    def __init__(
        self,
        path: Path,
        engine: SideEngine,
        proto: onnx.ModelProto,
        device: DeviceChoice,
        is_emulated: bool = False,
    ) -> None:
        from yolact.diff.onnx_layers import tensor_names

        self.path, self.engine, self.is_emulated = path, engine, is_emulated
        self.tensors: Mapping[str, bool] = tensor_names(proto)
        self._proto, self._device = proto, device

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Side`."""
        from yolact.diff.onnx_layers import onnx_runner

        return onnx_runner(self._proto, name, names, self._device)

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """See `Side`."""
        from yolact.diff.onnx_layers import LayerByLayer, OnnxGraph

        return LayerByLayer(self._proto, partial(OnnxGraph, device=self._device))

    def optimisation_error(self, images: Image) -> float:
        """Largest relative error in a head that ONNX Runtime's optimisations make on a batch."""
        from yolact.diff.onnx_layers import optimisation_error

        return optimisation_error(self._proto, [name for name in HEADS if name in self.tensors], self._device, images)


class TorchSide:
    """A checkpoint, run by PyTorch."""

    def __init__(self, path: Path, model: Yolact, postprocess: PostprocessConfig) -> None:
        from yolact.diff.torch_layers import LayerRecorder
        from yolact.training.models.torch_engine import TorchEngine

        engine = TorchEngine(model, postprocess)
        self.path, self.engine = path, engine
        self._record: LayerRecorder = LayerRecorder(model, engine)
        size = model.config.image_size
        self.tensors: Mapping[str, bool] = dict.fromkeys(self._record(np.zeros((1, size, size, 3), np.uint8)), True)

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Side`."""
        from yolact.diff.torch_layers import TorchRunner

        return TorchRunner(self._record, name, names, self.engine.metadata.config.image_size)

    def recomputing(self, names: Sequence[str]) -> Recompute:
        """See `Side`."""
        from yolact.diff.torch_layers import recompute_layers

        return recompute_layers(self._record, names)


class PlanSide:
    """A TensorRT plan. Its heads can be read where they are outputs, its layers cannot."""

    def __init__(self, path: Path, engine: Any) -> None:
        self.path, self.engine = path, engine
        self.tensors: Mapping[str, bool] = dict.fromkeys(HEADS if engine.metadata.graph == "raw" else (), True)

    def runner(self, name: str, names: Sequence[str]) -> Any:
        """See `Side`."""
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
        """Always raises EngineError: only the outputs of a plan can be read. `shared_names` refuses plans before."""
        raise EngineError("a plan cannot compute single layers; compare the ONNX file it was built from")


def open_sides(
    tested: Path, reference: Path, options: EngineOptions, config_name: str | None = None
) -> tuple[Side, Side]:
    """Open two files, each by its kind: a checkpoint by its suffix, else as `open_engine` does.

    Args:
        tested, reference: the files.
        options: for both; for a checkpoint, only the device is used, and the CPU in place of OpenVINO's devices.
        config_name: configuration of checkpoints. None takes that of the other side where it is an engine file, else
            finds it by the file name or the tensors.

    Raises:
        EngineError: a file is missing, is of another kind, or cannot run here.
        UsageError: an option is for another kind of file.
        YolactError: a checkpoint does not fit, or a library is missing.
    """
    opened: dict[Path, Side] = {}
    config = None
    try:
        for path in sorted((tested, reference), key=_is_checkpoint):  # engine files know what a checkpoint may not
            if _is_checkpoint(path):
                opened[path] = _open_checkpoint(path, config, options.device, config_name)
            else:
                opened[path] = _open(path, options)
            config = opened[path].engine.metadata.config
    except BaseException:
        for side in opened.values():
            side.engine.close()
        raise
    if options.metadata_file is not None and not any(isinstance(one, PlanSide) for one in opened.values()):
        raise UsageError("--metadata is for TensorRT plans; other files have their metadata inside")
    return opened[tested], opened[reference]


def _is_checkpoint(path: Path) -> bool:
    return path.suffix.lower() == ".pth"


def _open(path: Path, options: EngineOptions) -> Side:
    if not path.is_file() or read_plan_header(path) is None:
        if options.device is not None and options.device.kind == "openvino":
            return _open_openvino(path, options)
        return _open_onnx(path, options.device or CPU)
    return PlanSide(path, open_engine(path, options))


def _open_checkpoint(
    path: Path, config: ModelConfig | None, device: DeviceChoice | None, config_name: str | None
) -> TorchSide:
    from yolact.training.torch_device import choose_device

    torch_device = choose_device(CPU if device is not None and device.kind == "openvino" else device)
    from yolact.training.models.checkpoints import load_checkpoint

    if config_name is not None or config is None:
        model = load_checkpoint(path, config_name)
    else:
        model = load_checkpoint(path, config, config.class_names)
    return TorchSide(path, model.to(torch_device), PostprocessConfig())


def _open_openvino(path: Path, options: EngineOptions) -> Side:
    engine = open_engine(path, replace(options, metadata_file=None))
    from yolact.diff.openvino_side import OpenVinoSide
    from yolact.runtime.openvino.engine import OpenVinoEngine

    assert isinstance(engine, OpenVinoEngine)
    return OpenVinoSide(path, engine, read_exported_model(path).proto, options)


def _open_onnx(path: Path, device: DeviceChoice) -> OnnxSide:
    try:
        import onnx
    except ModuleNotFoundError:
        raise PackageMissing("reading the layers of ONNX files", "onnx", "diff") from None
    if path.is_file() and path.suffix.lower() == ".onnx" and device == CPU and read_metadata(path).precision == "bf16":
        from yolact.export.half_emulation import emulate_half

        proto = emulate_half(read_exported_model(path).proto)  # ONNX Runtime's CPU has no bf16
        with tempfile.TemporaryDirectory() as folder:
            emulated = Path(folder) / "emulated.onnx"
            onnx.save(proto, emulated)
            engine = open_engine(emulated, EngineOptions(device))
        return OnnxSide(path, engine, proto, device, is_emulated=True)
    engine = open_engine(path, EngineOptions(device))
    return OnnxSide(path, engine, read_exported_model(path).proto, device)
