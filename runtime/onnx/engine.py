"""Runs exported ONNX files with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from yolact.runtime.contract import INPUT_NAME
from yolact.runtime.cpu_cores import physical_cores
from yolact.runtime.engine import CPU, DeviceChoice
from yolact.runtime.errors import EngineError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.images.arrays import Image
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.contract_check import FoundTensor, check_contract
from yolact.runtime.onnx.device_input import DeviceInput
from yolact.runtime.onnx.file_engine import OnnxFileEngine
from yolact.runtime.onnx.providers import MOST_BATCH, TensorRtModel
from yolact.runtime.onnx.refusals import known_refusal
from yolact.runtime.onnx.session import SOFTWARE, ModelRefused, open_session, run_into

_STREAMS = 2
"""Images at once where throughput counts. Threads that compute one image wait for each other after every operator."""


class OnnxEngine(OnnxFileEngine):
    """One ONNX Runtime session whose tensors were checked against the contract when it was opened.

    Attributes:
        software: name and version of the runtime.
    """

    software = SOFTWARE

    def __init__(
        self, path: Path, threads: int | None = None, device: DeviceChoice = CPU, *, throughput: bool = False
    ) -> None:
        """Load and check the file.

        Args:
            path: an ONNX file written by yolact-export.
            threads: threads in all; None for as many as there are physical cores.
            device: the CPU, or a GPU through ONNX Runtime's CUDA or TensorRT provider.
            throughput: see `EngineOptions`.

        Raises:
            EngineError: not an ONNX file, or not one of this toolkit's contract; the GPU cannot be used.
            UsageError: this ONNX Runtime lacks the provider.
        """
        self.device = device
        if throughput and device.kind == "cpu":
            threads = physical_cores() if threads is None else threads
            self.streams = min(_STREAMS, threads)
            threads -= self.streams - 1  # threads that call compute as well
        try:
            tensorrt = _describe(path) if device.kind == "tensorrt" else None
            self._session: Any = open_session(path, device, threads=threads, tensorrt=tensorrt)
        except ModelRefused as error:
            raise EngineError(_why_not_opened(path, str(error))) from error
        try:
            metadata = ModelMetadata.from_props(self._session.get_modelmeta().custom_metadata_map, str(path))
            inputs, outputs = _found(self._session.get_inputs()), _found(self._session.get_outputs())
            self._outputs = check_contract(inputs, outputs, metadata, path)
        except UnicodeDecodeError:
            raise EngineError(f"{path} has texts that are no UTF-8; export it again with yolact-export") from None
        super().__init__(metadata, _fixed_batch(self._session), MOST_BATCH if device.kind == "tensorrt" else None)
        self._input = None if device.kind == "cpu" else DeviceInput(device)

    def run(self, images: Image) -> list[NDArray[Any]]:
        """Outputs in contract order for a batch (N, S, S, 3) uint8 BGR.

        Raises EngineError where ONNX Runtime fails, mostly because memory does not suffice.
        """
        if self._session is None:  # another thread has closed it
            raise EngineError("this engine was closed; open it again")
        shapes = ((spec.dtype, (len(images), *spec.shape)) for spec in self._outputs.values())
        arrays: list[NDArray[Any]] = [np.empty(shape, dtype) for dtype, shape in shapes]
        run_into(self._session, dict(zip(self._outputs, arrays, strict=True)), images, self._input)
        return arrays

    def close(self) -> None:
        """Free the session."""
        self._session = None
        if self._input is not None:
            self._input.close()
        super().close()


def _describe(path: Path) -> TensorRtModel:
    """The facts that the TensorRT provider needs before it opens a file, from a session on the CPU.

    Raises as `open_session`, and EngineError for another kind of file, or one in INT8 for a CPU.
    """
    session = open_session(path, optimise=False)
    metadata = ModelMetadata.from_props(session.get_modelmeta().custom_metadata_map, str(path))
    metadata.check_for_tensorrt()
    return TensorRtModel(metadata, _fixed_batch(session) is None, sha256_of(path))


def _fixed_batch(session: onnxruntime.InferenceSession) -> int | None:
    """The only batch that a file takes, None where it takes any."""
    batch = next((t.shape[0] for t in session.get_inputs() if t.name == INPUT_NAME and t.shape), None)
    return batch if isinstance(batch, int) else None


def _why_not_opened(path: Path, reason: str) -> str:
    if known := known_refusal(path, reason):
        return known
    if "Unsupported model IR version" in reason or "only *guarantees* support for models stamped" in reason:
        return (
            f"{path} was exported for a newer ONNX Runtime than {onnxruntime.__version__}; update that with "
            "pip install -U onnxruntime, or export the file again with --opset 20, which excludes --bf16"
        )
    if "NOT_IMPLEMENTED" in reason:
        return (
            f"{path} has operators that ONNX Runtime lacks on this device: {reason}; bf16 files run in TensorRT plans "
            "and with --device openvino, for ONNX Runtime export with --fp16 or in full precision"
        )
    return f"{path} cannot be opened as an ONNX model: {reason}; export it again with yolact-export"


def _found(tensors: Iterable[Any]) -> dict[str, FoundTensor]:
    return {tensor.name: FoundTensor(tensor.type, tuple(tensor.shape[1:])) for tensor in tensors}
